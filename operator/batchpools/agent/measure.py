"""Makes a sample of the node's resources each 30 s: what the runner's container has used between two looks.

It keeps the samples of the last hour, so that a new leader can be told of what was before it. A look of another life of the
container, or one that fails, gives no sample; the samples go with the agent.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from batchpools.agent.runner_client import RunnerError
from batchpools.link.messages import MAX_SAMPLES, Sample, Samples
from batchpools.telemetry.clock import Clock

PERIOD = 30.0  # seconds, as `core.autoscale.series.PERIOD`
UNKNOWN = -1.0
_MEBI, _GIBI = 1 << 20, 1 << 30

Usage = Mapping[str, Any]  # the runner's `usage`, see protocol.go
Look = Callable[[], Awaitable[tuple[str, Usage] | None]]  # (boot id, usage), None = there is no container


class Meter:
    """`run` measures until cancelled and tells each sample to the leader; `samples` are all that are kept."""

    def __init__(self, clock: Clock, look: Look, tell: Callable[[Samples], None]) -> None:
        self._clock = clock
        self._look = look
        self._tell = tell
        self._before: tuple[float, str, Usage] | None = None
        self._kept: deque[tuple[float, Sample]] = deque(maxlen=MAX_SAMPLES)

    async def run(self) -> None:
        """Measure each 30 s."""
        due = self._clock.boottime()
        while True:
            await self._measure()
            due = max(due + PERIOD, self._clock.boottime())
            await asyncio.sleep(due - self._clock.boottime())

    def samples(self) -> Samples:
        """All that are kept, oldest first, with their present age."""
        now = self._clock.boottime()
        return Samples([_aged(one, now - at) for at, one in self._kept])

    async def _measure(self) -> None:
        try:
            found = await self._look()
        except (RunnerError, ConnectionError, TimeoutError):
            found = None
        before, self._before = self._before, None
        if found is None:
            return
        now, (boot_id, usage) = self._clock.boottime(), found
        self._before = (now, boot_id, usage)
        if before is None or before[1] != boot_id or now <= before[0]:
            return
        sample = sample_of(before[2], usage, now - before[0])
        self._kept.append((now, sample))
        self._tell(Samples([sample]))


def sample_of(before: Usage, after: Usage, seconds: float) -> Sample:
    """What was used between two looks; -1 = it cannot be told. Counters are those of 30 s."""
    cpu, cores = _spent(before, after, "cpu"), after["cores"]
    share = PERIOD / seconds
    return Sample(
        age=0.0,
        cpu=cpu / seconds / cores if cpu >= 0 and cores > 0 else UNKNOWN,
        memory=after["memory"] / _MEBI if after["memory"] >= 0 else UNKNOWN,
        disk=after["disk"] / _GIBI if after["disk"] >= 0 else UNKNOWN,
        disk_read_bytes=_spent(before, after, "readBytes", share),
        disk_write_bytes=_spent(before, after, "writeBytes", share),
        disk_read_ops=_spent(before, after, "readOps", share),
        disk_write_ops=_spent(before, after, "writeOps", share),
        network_in=_spent(before, after, "networkIn", share),
        network_out=_spent(before, after, "networkOut", share),
    )


def _spent(before: Usage, after: Usage, what: str, share: float = 1.0) -> float:
    """The difference of a counter; one that went back, or was not there, tells nothing."""
    if before[what] < 0 or after[what] < before[what]:
        return UNKNOWN
    return float(after[what] - before[what]) * share


def _aged(sample: Sample, age: float) -> Sample:
    return Sample(max(age, 0.0), *sample.measured())
