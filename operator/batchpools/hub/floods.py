"""Keeps how much each node has said, over all of its sessions: who is cut off for a flood gains nothing by coming back (S9.1)."""

from batchpools.link.budget import Budget

_REMEMBERED = 1024
_STRANGERS_MESSAGES = 64.0  # a hello, and what a WebSocket says of itself
_STRANGERS_BYTES = float(64 << 10)
ADMISSION_COST = 1_000.0  # messages: a session costs a handshake; 40 at once, then 8 a second


def strangers_budget(now: float) -> Budget:
    """What a connection may say before it is admitted."""
    return Budget(now, _STRANGERS_MESSAGES, _STRANGERS_BYTES)


class Floods:
    """Budgets of nodes by pod uid. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._budgets: dict[str, Budget] = {}
        self._look_at = _REMEMBERED

    def of(self, pod_uid: str, now: float) -> Budget:
        """The node's budget, as its former sessions left it."""
        budget = self._budgets.get(pod_uid)
        if budget is None:
            if len(self._budgets) >= self._look_at:
                self._budgets = {uid: one for uid, one in self._budgets.items() if not one.is_full(now)}
                self._look_at = max(
                    _REMEMBERED, 2 * len(self._budgets)
                )  # there are no more than nodes that say something
            budget = self._budgets[pod_uid] = Budget(now)
        return budget
