"""How a run ended, as the node tells it: one shape for the agent's machine and for the leader's decision. No behaviour."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ended:
    """How a run ended; cause is a word of `link.words.Cause`, times are Unix seconds."""

    cause: str
    exit_code: int | None = None
    started_at: float = 0.0
    ended_at: float = 0.0
    user_cpu: float = 0.0
    kernel_cpu: float = 0.0
    max_memory_bytes: int = 0
    code: str = ""
    message: str = ""
