"""At which moments jobs are due: intervals, cron through clock changes, once; and what cannot be followed says why."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchpools.core.schedules.timetable import Cron, Every, Once, Timetable, TimetableError, in_words, timetable_of
from batchpools.core.views import Schedule
from batchpools.testing import builders
from batchpools.testing.clock import EPOCH

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 1, 1, tzinfo=UTC)
CREATED = EPOCH


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)


def moments(table: Timetable, after: datetime, number: int) -> list[datetime]:
    found: list[datetime] = []
    while len(found) < number:
        following = table.following(found[-1] if found else after)
        assert following is not None
        found.append(following)
    return found


def test_an_interval_counts_from_its_first_moment() -> None:
    table = Every(START, timedelta(minutes=90))
    assert table.following(None) == START
    assert table.following(START - timedelta(seconds=1)) == START
    assert table.following(START) == START + timedelta(minutes=90)
    assert table.latest(START - timedelta(seconds=1)) is None
    assert table.latest(START + timedelta(minutes=89)) == START
    assert table.latest(START + timedelta(days=1)) == START + timedelta(days=1)


def test_once_is_one_moment() -> None:
    table = Once(START)
    assert (table.following(None), table.following(START)) == (START, None)
    assert (table.latest(START - timedelta(seconds=1)), table.latest(START)) == (None, START)


@pytest.mark.parametrize(
    ("expression", "day", "wanted"),
    [
        # The hour from 2 to 3 is left out on 29 March, and comes twice on 25 October.
        ("30 2 * * *", "2026-03-28T12:00+01:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("30 2 * * *", "2026-10-24T12:00+02:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("30 2 * * *", "2026-10-25T02:10+01:00", ["2026-10-26T02:30+01:00", "2026-10-27T02:30+01:00"]),
        ("*/30 * * * *", "2026-03-29T01:10+01:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
        (
            "*/30 * * * *",
            "2026-10-25T02:10+02:00",
            ["2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", "2026-10-25T02:30+01:00", "2026-10-25T03:00+01:00"],
        ),
        ("0 6 * * 1-5", "2026-11-27T07:00+01:00", ["2026-11-30T06:00+01:00"]),
    ],
)
def test_cron_goes_through_clock_changes_as_debians_does(expression: str, day: str, wanted: list[str]) -> None:
    table = Cron(expression, BERLIN, START)
    assert moments(table, utc(day), len(wanted)) == [utc(one) for one in wanted]


@given(
    expression=st.sampled_from(
        ["30 2 * * *", "0,30 2,3 * * *", "*/20 * * * *", "15 */2 * * *", "0 4 * * 0", "5 2 25 10 *"]
    ),
    now=st.one_of(
        st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 31)),  # noqa: DTZ001 (hypothesis adds the zone)
        st.datetimes(datetime(2026, 10, 24), datetime(2026, 10, 27)),  # noqa: DTZ001
        st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
    ),
)
def test_the_last_moment_is_the_one_after_which_the_next_is_to_come(expression: str, now: datetime) -> None:
    table, at = Cron(expression, BERLIN, utc("2025-09-01T00:00+00:00")), now.replace(tzinfo=UTC)
    last = table.latest(at)
    assert last is not None
    following = table.following(last)
    assert following is not None
    assert last <= at < following
    assert table.following(at) == following
    assert table.latest(following) == following


def test_cron_looks_back_no_further_than_its_first_moment() -> None:
    table = Cron("0 0 29 2 *", UTC, START)
    assert table.latest(START + timedelta(days=700)) is None
    assert table.following(None) == datetime(2028, 2, 29, tzinfo=UTC)
    assert table.latest(datetime(2031, 1, 1, tzinfo=UTC)) == datetime(2028, 2, 29, tzinfo=UTC)


def test_a_first_moment_that_matches_counts() -> None:
    assert Cron("0 0 * * *", UTC, START).following(None) == START
    assert Cron("0 0 * * *", UTC, START).latest(START) == START


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (Schedule(), Once(CREATED)),
        (Schedule(recurrence_interval="1m30s"), Every(CREATED, timedelta(seconds=90))),
        (
            Schedule(recurrence_interval="1h", do_not_run_until=CREATED - timedelta(days=1)),
            Every(CREATED, timedelta(hours=1)),
        ),
        (Schedule(do_not_run_until=CREATED + timedelta(days=1)), Once(CREATED + timedelta(days=1))),
        (Schedule(cron="0 6 * * *"), Cron("0 6 * * *", UTC, CREATED)),
    ],
    ids=["once", "interval", "until that is past", "until", "cron"],
)
def test_nothing_is_due_before_the_creation_or_before_it_may_run(schedule: Schedule, wanted: Timetable) -> None:
    assert timetable_of(builders.schedule(schedule=schedule), UTC) == wanted


@pytest.mark.parametrize(
    ("schedule", "sentence"),
    [
        (Schedule(cron="61 6 * * *"), "'61 6 * * *' cannot be read: Bad minute."),
        (Schedule(cron="0 0 30 2 *"), "Bad day-of-month"),
        (Schedule(cron="a b c d e"), "cannot be read"),
        (Schedule(cron="0 6 * * *", time_zone="Europe/Atlantis"), "There is no time zone 'Europe/Atlantis'."),
    ],
)
def test_what_cannot_be_followed_says_why(schedule: Schedule, sentence: str) -> None:
    zone = None if schedule.time_zone else UTC
    with pytest.raises(TimetableError) as told:
        timetable_of(builders.schedule(schedule=schedule), zone)
    assert sentence in str(told.value)


@given(expression=st.text("0123456789*,-/L#abcMON ", max_size=40))
def test_any_text_is_a_timetable_or_an_error_with_a_sentence(expression: str) -> None:
    view = builders.schedule(schedule=Schedule(cron=expression or "x"))
    with suppress(TimetableError):
        timetable_of(view, BERLIN).following(None)


def test_a_schedule_in_words() -> None:
    start = datetime(2026, 11, 26, 7, tzinfo=BERLIN)
    assert in_words(Schedule()) == "once"
    assert in_words(Schedule(recurrence_interval="1h", do_not_run_until=start)) == "every 1h from 2026-11-26T06:00:00Z"
    assert in_words(Schedule(cron="0 6 * * 1-5", time_zone="Europe/Berlin")) == "0 6 * * 1-5 Europe/Berlin"
