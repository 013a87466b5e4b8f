"""The table of a task's life: what may follow what, and what a broken rule says."""

import itertools
from typing import get_args

import pytest

from batchpools.core.identity import ExecutionId
from batchpools.core.tasks.lifecycle import (
    TABLE,
    Bound,
    Ending,
    Running,
    Settling,
    State,
    Waiting,
    Why,
    ending,
    holds_slots,
    name_of,
    pod_of,
)
from batchpools.core.transitions import InvalidTransition, check

RUN = ExecutionId("uid", "-", 1, 1)
STATES = [state.__name__ for state in get_args(State)]


def test_every_state_has_a_row_and_every_row_names_states() -> None:
    assert sorted(TABLE) == sorted(STATES)
    assert {target for row in TABLE.values() for target in row} <= set(STATES)


def test_every_state_can_be_reached_and_none_but_done_is_an_end() -> None:
    reached, edge = {"Waiting"}, {"Waiting"}
    while edge:
        edge = {target for state in edge for target in TABLE[state]} - reached
        reached |= edge
    assert reached == set(STATES)
    assert [state for state, row in TABLE.items() if not row] == ["Done"]


@pytest.mark.parametrize(("start", "finish"), list(itertools.product(STATES, STATES)))
def test_only_what_the_table_lists_is_allowed(start: str, finish: str) -> None:
    if finish in TABLE[start]:
        check(TABLE, "task a/b", start, finish, ("Waiting",))
    else:
        with pytest.raises(InvalidTransition, match=f"task a/b: {start} → {finish} is not in the table"):
            check(TABLE, "task a/b", start, finish, ("Waiting",))


def test_a_run_that_has_begun_is_never_sent_again_without_being_settled() -> None:
    assert "Waiting" not in TABLE["Running"]
    assert "Bound" not in TABLE["Ending"]


def test_slots_are_held_while_a_run_may_go_on_and_while_a_retry_is_being_persisted() -> None:
    bound = Bound("pod", "n", RUN)
    running = Running("pod", "n", RUN, 1.0)
    assert all(holds_slots(state) for state in (bound, running, ending(running, Why.DRAINED)))
    assert holds_slots(Settling("pod", "n", RUN, keeps_slots=True))
    assert not holds_slots(Settling("pod", "n", RUN))
    assert not holds_slots(Waiting())
    assert (pod_of(Settling("pod", "n", RUN)), pod_of(Waiting())) == ("pod", "")
    assert ending(bound, Why.DELETED) == Ending("pod", "n", RUN, 0.0, Why.DELETED)
    assert name_of(running) == "Running"
