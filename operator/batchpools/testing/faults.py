"""What can go wrong between us and FakeKube, told by a test beforehand. It decides which call is hit, and how."""

import asyncio
from dataclasses import dataclass

from batchpools.kube.errors import KubeError, UnreachableError


@dataclass(slots=True)
class _Fault:
    verb: str
    kind: str
    times: int
    error: KubeError | None
    gate: asyncio.Event | None
    after: bool  # carried out, and only the answer is hit


class Faults:
    """The faults still to come; verbs are the names of `KubeApi`'s methods, an empty kind means every kind."""

    def __init__(self) -> None:
        self._coming: list[_Fault] = []

    @property
    def are_coming(self) -> bool:
        """Whether there are any."""
        return bool(self._coming)

    def fail(self, verb: str, error: KubeError, *, kind: str = "", times: int = 1) -> None:
        """The next calls are not carried out and raise."""
        self._coming.append(_Fault(verb, kind, times, error, None, after=False))

    def lose_answer(self, verb: str, *, kind: str = "", times: int = 1) -> None:
        """The next calls are carried out, and the caller never hears of it."""
        lost = UnreachableError("the answer was lost")
        self._coming.append(_Fault(verb, kind, times, lost, None, after=True))

    def hold(self, verb: str, *, kind: str = "", times: int = 1, after: bool = False) -> asyncio.Event:
        """The next calls wait, before (or after) they are carried out, until the event is set."""
        gate = asyncio.Event()
        self._coming.append(_Fault(verb, kind, times, None, gate, after=after))
        return gate

    async def meet(self, verb: str, kind: str, *, after: bool) -> None:
        """Suffer the first fault that is meant for this call, if there is one."""
        for fault in self._coming:
            if fault.verb == verb and fault.kind in {"", kind} and fault.after == after:
                fault.times -= 1
                if fault.times == 0:
                    self._coming.remove(fault)
                if fault.gate is not None:
                    await fault.gate.wait()
                if fault.error is not None:
                    raise fault.error
                return
