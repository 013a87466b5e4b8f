"""The checker of fault histories is itself checked: what is whole passes, and each broken promise is found."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from e2e.faults.checker import violations
from e2e.faults.history import Expected, Fault, History, Seen, read_runs

A, B, C = "uid-a", "uid-b", "uid-c"
LOST = Fault("pod", 20.0, 21.0, frozenset({"p1"}), frozenset({"NodeLost"}))


def status(one: str, attempt: int = 1, epoch: int = 1, **other: Any) -> dict[str, Any]:
    name = f"{one}:-:{epoch}:{attempt}"
    return {
        "state": "Completed", "result": "Success", "executionID": name, "exitCode": 0, "endTime": "t1", "epoch": epoch, **other,
    }  # fmt: skip


def whole() -> History:
    """a: one run. b: lost with pod p1 and run again. c: fails twice."""
    lines = {
        "p1": f"start {A}:-:1:1 j.a 10.00\nend {A}:-:1:1 j.a 11.00 0\nstart {B}:-:1:1 j.b 19.50\n",
        "p2": f"start {B}:-:1:2 j.b 22.00\nend {B}:-:1:2 j.b 23.00 0\n"
        f"start {C}:-:1:1 j.c 10.00\nend {C}:-:1:1 j.c 10.10 7\nstart {C}:-:1:2 j.c 10.50\nend {C}:-:1:2 j.c 10.60 7\n",
    }
    runs, unreadable = read_runs(lines, {f"{B}:-:1:1": 20.4})
    failed = status(C, 2, result="Failure", exitCode=7, retryCount=1)
    ends = {A: status(A), B: status(B, 2, requeueCount=1, requeueReasons={"NodeLost": 1}), C: failed}
    seen = [Seen(uid, f"j.{uid[-1]}", "ADDED", {"state": "Active"}) for uid in ends]
    seen += [Seen(uid, f"j.{uid[-1]}", "MODIFIED", end) for uid, end in ends.items()]
    expected = [Expected(A, "j.a"), Expected(B, "j.b"), Expected(C, "j.c", "Failure", 2)]
    return History(expected, runs, seen, [LOST], unreadable)


def run(history: History, uid: str, attempt: int = 1) -> Any:
    return next(one for one in history.runs if (one.execution.task_uid, one.execution.attempt) == (uid, attempt))


def change(history: History, uid: str, **fields: Any) -> None:
    """Another last word of the watch."""
    number = max(n for n, one in enumerate(history.seen) if one.uid == uid)
    history.seen[number] = replace(history.seen[number], status={**history.seen[number].status, **fields})


def later(history: History, uid: str, kind: str = "MODIFIED", **fields: Any) -> None:
    """One more event."""
    last = [one for one in history.seen if one.uid == uid][-1]
    history.seen.append(replace(last, type=kind, status={**last.status, **fields}))


def second_run_beside_the_first(history: History) -> None:
    lines = {"p2": f"start {A}:-:1:2 j.a 10.50\nend {A}:-:1:2 j.a 11.50 0\n"}
    history.runs += read_runs(lines, {})[0]
    change(history, A, executionID=f"{A}:-:1:2")


def second_run_after_the_first(history: History) -> None:
    history.runs += read_runs({"p2": f"start {A}:-:1:2 j.a 12.50\nend {A}:-:1:2 j.a 13.50 0\n"}, {})[0]
    change(history, A, executionID=f"{A}:-:1:2", requeueCount=1, requeueReasons={"NodeLost": 1})


def lives_on(history: History) -> None:
    run(history, B).seen_until = 22.3


def lost(history: History) -> None:
    history.seen = [one for one in history.seen if one.uid != A or not one.is_over]


def never_seen(history: History) -> None:
    history.seen = [one for one in history.seen if one.uid != A]


def end_without_a_run(history: History) -> None:
    history.runs = [one for one in history.runs if one.execution.task_uid != A]


def end_that_was_not_written(history: History) -> None:
    run(history, A).ended = None


def lost_by_no_fault(history: History) -> None:
    run(history, B).pod_uid = "p3"


def lost_long_after_the_fault(history: History) -> None:
    run(history, B).began, run(history, B).seen_until = 21.5, 21.6


def with_a_second_start_line(history: History) -> None:
    line = f"start {A}:-:1:1 j.a 10.00\n"
    history.unreadable = read_runs({"p1": line, "p2": line}, {})[1]


BREAKS: list[tuple[Callable[[History], None], str]] = [
    (second_run_beside_the_first, "two live runs"),
    (lives_on, "two live runs"),
    (second_run_after_the_first, "2 to 2 runs left by themselves instead of 1"),
    (lost, "lost: it has not ended"),
    (never_seen, "lost: it has not ended"),
    (lambda history: later(history, A, result="Failure"), "its end changed"),
    (lambda history: later(history, A, executionID=f"{A}:-:2:1"), "its end changed"),
    (lambda history: later(history, A, state="Active"), "its end changed"),
    (lambda history: later(history, A, endTime="t2"), "its end changed"),
    (lambda history: later(history, A, "DELETED"), "deleted"),
    (lambda history: later(history, A, epoch=0), "from epoch 1 back to 0"),
    (lambda history: change(history, A, result="Failure"), "ended with Failure instead of Success"),
    (lambda history: change(history, A, exitCode=3), "its exit code is 3"),
    (lambda history: change(history, B, executionID=f"{B}:-:1:1"), "a later one was begun"),
    (end_without_a_run, "which is none of"),
    (end_that_was_not_written, "never wrote its end"),
    (lost_by_no_fault, "no fault has touched it"),
    (lost_long_after_the_fault, "no fault has touched it"),
    (lambda history: history.faults.clear(), "no fault has touched it"),
    (lambda history: change(history, C, retryCount=0), "retryCount is 0 instead of 1"),
    (lambda history: change(history, B, retryCount=1), "retryCount is 1 instead of 0"),
    (lambda history: change(history, B, requeueCount=0, requeueReasons={}), "requeueCount is 0"),
    (lambda history: change(history, A, requeueCount=2, requeueReasons={"NodeLost": 2}), "requeueCount is 2"),
    (lambda history: change(history, B, requeueReasons={}), "do not add up"),
    (lambda history: change(history, B, requeueReasons={"PoolResized": 1}), "injected was ['NodeLost']"),
    (lambda history: history.expected.clear(), "belongs to no task"),
    (lambda history: history.still_alive.append("x"), "still has processes"),
    (with_a_second_start_line, "cannot be read"),
]


def test_a_whole_history_breaks_no_promise() -> None:
    assert violations(whole()) == []


@pytest.mark.parametrize(("break_it", "sentence"), BREAKS)
def test_each_broken_promise_is_found(break_it: Callable[[History], None], sentence: str) -> None:
    history = whole()
    break_it(history)
    assert any(sentence in one for one in violations(history)), violations(history)


def test_a_result_that_died_with_its_pod_is_no_second_run() -> None:
    history = whole()
    run(history, B).ended = 19.9
    assert violations(history) == []


def test_a_run_that_a_fault_met_before_its_first_line_is_counted_all_the_same() -> None:
    history = whole()
    change(history, A, requeueCount=1, requeueReasons={"NodeLost": 1})
    assert violations(history) == []


def test_a_task_that_is_killed_for_what_it_does_writes_no_end() -> None:
    history = whole()
    history.expected[0] = Expected(A, "j.a", "Failure", is_killed=True)
    change(history, A, result="Failure", exitCode=137)
    assert any("yet wrote its end" in one for one in violations(history))
    run(history, A).ended = None
    assert violations(history) == []


@pytest.mark.parametrize(
    "line", ["begin x j.a 1.0", "start x j.a 1.0", "end a:-:1:1 j.a 1.0 0", "start a:-:1:1 j.a soon", ""]
)
def test_a_line_that_says_nothing_is_named(line: str) -> None:
    runs, unreadable = read_runs({"p1": f"{line}\n"}, {})
    assert runs == []
    assert len(unreadable) == 1
