"""Names of things that live in several processes: object keys and execution ids (safety rule S1.1). Pure."""

import hashlib
import re
from typing import NamedTuple

NO_ELEMENT = "-"

_NUMBER = "(?:0|[1-9][0-9]{0,9})"
_WHOLE = re.compile(f"[^:]+:(?:-|{_NUMBER}):{_NUMBER}:{_NUMBER}")


def auto_pool_name(prefix: str, owner: str, owner_uid: str) -> str:
    """`<prefix>-<8 characters of a hash of the owner's uid>`, a DNS label; the prefix is the owner's name, cut, by default."""
    stem = (prefix or owner)[:40].rstrip("-")
    return f"{stem}-{hashlib.sha256(owner_uid.encode()).hexdigest()[:8]}"


class Key(NamedTuple):
    """One object of one kind: what work queues hold."""

    kind: str
    namespace: str
    name: str


class ExecutionId(NamedTuple):
    """One run of one task: (task uid, array index or `-`, epoch of the leader that sent it, attempt).

    Ordered runs of one task compare by (epoch, attempt). Its text, `uid:index:epoch:attempt`, is what messages,
    the runner and AZ_BATCH_TASK_EXECUTION_ID carry.
    """

    task_uid: str
    element: str
    epoch: int
    attempt: int

    def __str__(self) -> str:
        """The wire form."""
        return f"{self.task_uid}:{self.element}:{self.epoch}:{self.attempt}"

    @property
    def order(self) -> tuple[int, int]:
        """What decides which of two runs of a task is the newer one."""
        return (self.epoch, self.attempt)

    @classmethod
    def parse(cls, text: str) -> "ExecutionId":
        """Read the wire form; ValueError when it is none. One run has one text: no `01`, no `+1`, no number without end."""
        if _WHOLE.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not an execution id")
        uid, element, epoch, attempt = text.split(":")
        return cls(uid, element, int(epoch), int(attempt))
