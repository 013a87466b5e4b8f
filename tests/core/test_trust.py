"""When certificates are due, and the steps by which one CA takes the place of another."""

from datetime import UTC, datetime, timedelta

import pytest

from batchpools.core.trust import Authorities, Settling, Step, Validity, next_step

START = datetime(2026, 1, 1, tzinfo=UTC)
SPREAD = 300.0


def at(days: float) -> datetime:
    return START + timedelta(days=days)


def ca(made: float, life: float = 90) -> Validity:
    return Validity(at(made), at(made + life))


@pytest.mark.parametrize(("day", "due", "over"), [(0, 0, 0), (59.9, 0, 0), (60, 1, 0), (89.9, 1, 0), (90, 1, 1)])
def test_a_certificate_is_due_after_two_thirds_of_its_life(day: float, due: bool, over: bool) -> None:
    assert (ca(0).is_due(at(day)), ca(0).is_over(at(day))) == (due, over)


ALONE = Authorities(ca(0))
COMING = Authorities(ca(0), next=ca(60))
GOING = Authorities(ca(60), former=ca(0))


@pytest.mark.parametrize(
    ("held", "day", "settled", "step"),
    [
        (ALONE, 1, 1e9, Step.WAIT),
        (ALONE, 60, None, Step.MAKE_NEXT),  # nobody needs to have been told of what is replaced
        (ALONE, 91, None, Step.START_OVER),
        (COMING, 61, None, Step.WAIT),  # somebody has not been told
        (COMING, 61, SPREAD - 1, Step.WAIT),  # all have been, but one may still act on what was before
        (COMING, 61, SPREAD, Step.USE_NEXT),
        (COMING, 91, None, Step.USE_NEXT),  # the present one is worth nothing any more
        (COMING, 151, None, Step.START_OVER),
        (Authorities(ca(0, 400), next=ca(60)), 151, 1e9, Step.MAKE_NEXT),  # the next one died while it waited
        (GOING, 61, None, Step.WAIT),
        (GOING, 61, SPREAD - 1, Step.WAIT),  # a standby may still show what the former one issued
        (GOING, 61, SPREAD, Step.DROP_FORMER),
        (GOING, 90, None, Step.DROP_FORMER),  # expired: of no use to anybody
        (GOING, 120, None, Step.DROP_FORMER),  # one thing after the other
        (Authorities(ca(60), next=ca(61), former=ca(0)), 62, SPREAD, Step.DROP_FORMER),
    ],
)
def test_one_step_after_the_other(held: Authorities, day: float, settled: float | None, step: Step) -> None:
    assert next_step(held, at(day), asked=False, settled=settled, spread=SPREAD) is step


@pytest.mark.parametrize(("held", "step"), [(ALONE, Step.MAKE_NEXT), (COMING, Step.WAIT), (GOING, Step.WAIT)])
def test_who_asks_for_a_new_one_gets_it_unless_one_is_on_its_way(held: Authorities, step: Step) -> None:
    assert next_step(held, at(61 if held is not ALONE else 1), asked=True, settled=1.0, spread=SPREAD) is step


def test_what_settles_begins_anew_when_it_changes_or_is_not_known_any_more() -> None:
    settling = Settling()
    assert settling.measure("a", 10.0, known=False) is None
    assert settling.measure("a", 20.0, known=True) == 0.0
    assert settling.measure("a", 25.0, known=True) == 5.0
    assert settling.measure("b", 30.0, known=True) == 0.0
    assert settling.measure("b", 40.0, known=False) is None
    assert settling.measure("b", 50.0, known=True) == 0.0
