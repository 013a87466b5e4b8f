"""Says at which moments jobs are due: by an interval, by cron in a time zone, or once. It knows nothing of jobs. Pure.

Source: Azure Batch REST reference, Schedule (which knows neither cron nor zones). Cron is read, and clock changes are treated, as
Debian's cron does (library `cronsim`): what falls into an hour that is left out is due right after it, what falls into an
hour that comes twice is due once; with `*` in minute or hour it follows the clock on the wall.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from cronsim import CronSim, CronSimError

from batchpools.api.durations import parse_duration
from batchpools.core.views import JobScheduleView, Schedule

_SECOND = timedelta(seconds=1)
# How far back the last moment of cron is looked for, ever further; beyond 50 years cron gives up itself.
_SPANS = tuple(timedelta(minutes=minutes) for minutes in (2, 120, 2880, 90_000, 5_000_000, 27_000_000))


class TimetableError(ValueError):
    """A schedule that cannot be followed; the text is a sentence for its user."""


@dataclass(frozen=True, slots=True)
class Once:
    """One moment."""

    at: datetime
    recurs = False

    def following(self, after: datetime | None) -> datetime | None:
        """The first moment later than `after` (None: the first of all)."""
        return self.at if after is None or after < self.at else None

    def latest(self, now: datetime) -> datetime | None:
        """The last moment up to now."""
        return self.at if self.at <= now else None


@dataclass(frozen=True, slots=True)
class Every:
    """A moment each interval, from a first one on."""

    first: datetime
    interval: timedelta
    recurs = True

    def following(self, after: datetime | None) -> datetime | None:
        """The first moment later than `after` (None: the first of all)."""
        if after is None or after < self.first:
            return self.first
        return self.first + ((after - self.first) // self.interval + 1) * self.interval

    def latest(self, now: datetime) -> datetime | None:
        """The last moment up to now."""
        return None if now < self.first else self.first + (now - self.first) // self.interval * self.interval


@dataclass(frozen=True, slots=True)
class Cron:
    """The moments that match an expression in a zone, from a first possible one on."""

    expression: str
    zone: tzinfo
    first: datetime
    recurs = True

    def following(self, after: datetime | None) -> datetime | None:
        """The first moment later than `after` (None: the first of all)."""
        since = self.first if after is None or after < self.first else after
        return next((at for at in self._since(since) if after is None or at > after), None)

    def latest(self, now: datetime) -> datetime | None:
        """The last moment up to now."""
        for span in _SPANS:
            since = max(now - span, self.first)
            found = None
            for at in self._since(since):
                if at > now:
                    break
                found = at
            if found is not None or since == self.first:
                return found
        return None

    def _since(self, since: datetime) -> Iterator[datetime]:
        """From that moment on. In an hour that comes twice the library begins with what is over: that is left out."""
        for at in CronSim(self.expression, (since - _SECOND).astimezone(self.zone)):
            moment = at.astimezone(UTC)
            if moment >= since:
                yield moment


Timetable = Once | Every | Cron


def timetable_of(view: JobScheduleView, zone: tzinfo | None) -> Timetable:
    """The moments of a schedule; TimetableError. zone: that of the schedule's name, None when there is none of that name.

    Nothing is due before the schedule's creation: a doNotRunUntil that lies before is as none.
    """
    schedule, created = view.spec.schedule, view.metadata.creation_timestamp
    first = max(one for one in (schedule.do_not_run_until, created) if one is not None)
    if schedule.recurrence_interval:
        return Every(first, timedelta(seconds=parse_duration(schedule.recurrence_interval)))
    if not schedule.cron:
        return Once(first)
    if zone is None:
        raise TimetableError(f"There is no time zone {schedule.time_zone!r}.")
    try:
        CronSim(schedule.cron, first)
    except CronSimError as error:
        raise TimetableError(f"{schedule.cron!r} cannot be read: {error}.") from None
    return Cron(schedule.cron, zone, first)


def in_words(schedule: Schedule) -> str:
    """`every 1h`, `0 6 * * 1-5 Europe/Berlin`, `once`, with `from ...` for a doNotRunUntil: other words, other moments."""
    if schedule.recurrence_interval:
        words = f"every {schedule.recurrence_interval}"
    else:
        words = " ".join(one for one in (schedule.cron, schedule.time_zone) if one) or "once"
    until = schedule.do_not_run_until
    return words if until is None else f"{words} from {until.astimezone(UTC).isoformat().replace('+00:00', 'Z')}"
