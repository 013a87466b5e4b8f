"""All that a decision about one schedule may look at, frozen."""

from dataclasses import dataclass
from datetime import UTC, tzinfo

from batchpools.core.views import JobScheduleView, JobView, PoolView


@dataclass(frozen=True, slots=True)
class Refused:
    """Why the last job could not be made: the API server's sentence, or that its name is somebody else's."""

    sentence: str
    is_conflict: bool = False


@dataclass(frozen=True, slots=True)
class ScheduleSituation:
    """A schedule and what is known of the things around it.

    jobs: those whose controller is this life of the schedule, as the cache shows them; before anything is written also the
    one that status calls active and the one that was last asked for, as the API server has them. zone: of the name in its
    spec, None when there is none. pools: those that were made for this life of the schedule, as the cache shows them.
    """

    schedule: JobScheduleView
    jobs: tuple[JobView, ...] = ()
    zone: tzinfo | None = UTC
    refused: Refused | None = None
    pools: tuple[PoolView, ...] = ()
