"""Stories of looking on: why a task waits and where it stands, and what nodes do this moment."""

import re

from e2e.stories import Namespace, job, pool, sh, until

_HOLD = "while ! test -e $AZ_BATCH_NODE_SHARED_DIR/go; do sleep 0.1; done"


def _let_go(space: Namespace) -> str:
    """End what holds the only node; its pod."""
    pod: str = space.status("bnode", "demo-0000")["podName"]
    space.kubectl("exec", pod, "-c", "task", "--", "touch", "/mnt/batch/shared/go")
    return pod


def test_jobs_of_equal_priority_take_turns(space: Namespace) -> None:
    mark = "echo $AZ_BATCH_JOB_ID >> $AZ_BATCH_NODE_SHARED_DIR/order"
    space.apply(pool(), job("blocker", [sh("one", _HOLD)]))
    space.wait_for("btask", "blocker.one", lambda status: status["state"] == "Running")
    space.apply(job("many", [sh(str(n), mark) for n in range(9)]))
    until(lambda: len(space.every("btask")) == 10, "the tasks of the first job are there")
    space.apply(job("few", [sh(str(n), mark) for n in range(3)]))
    until(lambda: len(space.every("btask")) == 13, "all tasks are there")
    pod = _let_go(space)

    for name in ("blocker", "many", "few"):
        assert space.finished("bjob", name)["result"] == "Success"
    order = space.kubectl("exec", pod, "-c", "task", "--", "cat", "/mnt/batch/shared/order").split()
    assert sorted(order[:2]) == sorted(order[2:4]) == sorted(order[4:6]) == ["few", "many"]
    assert order[6:] == ["many"] * 6


def test_every_replica_tells_a_waiting_tasks_place_in_the_queue(space: Namespace) -> None:
    """The answers come from any replica of the operator: a standby asks the leader."""
    space.apply(pool(), job("blocker", [sh("one", _HOLD)]))
    space.wait_for("btask", "blocker.one", lambda status: status["state"] == "Running")
    space.apply(job("words", [sh(str(n), "true") for n in range(3)]))
    until(lambda: len(space.every("btask")) == 4, "all tasks are there")

    for _ in range(4):
        told = "".join(space.batch("explain", f"words/{number}").stdout for number in range(3))
        assert sorted(re.findall(r"Place (\d) of 3 in the pool's queue", told)) == ["1", "2", "3"], told
        assert "Task blocker.one: Running on demo-0000" in space.batch("explain", "blocker/one").stdout
    _let_go(space)
    assert space.finished("bjob", "words")["result"] == "Success"


def test_idle_and_running_are_shown_as_they_are_now(space: Namespace) -> None:
    space.apply(pool(slots=2))
    space.ready_pool("demo", 1)
    assert "Idle" in space.batch("get", "nodes").stdout
    assert "0/2" in space.batch("get", "pools").stdout
    space.apply(job("words", [sh("one", _HOLD)]))
    until(lambda: "Running" in space.batch("get", "nodes").stdout, "the node runs", patience=10)
    shown = space.batch("get", "pools").stdout
    assert "1 running" in shown
    assert "1/2" in shown

    _let_go(space)
    space.finished("btask", "words.one")
    until(lambda: "Idle" in space.batch("get", "nodes").stdout, "the node is idle", patience=10)
