"""When a node that cannot launch tasks is left alone, and for how long."""

from batchpools.api.reasons import Reason
from batchpools.core.ended import Ended
from batchpools.core.scheduling.quarantine import (
    FIRST_PAUSE,
    LAUNCHES,
    LONGEST_PAUSE,
    Standing,
    after,
    pause_of,
    paused,
    sentence,
)

FAILED = Ended("launchFailed", code="DiskFull", message="no space left on device.")
LAUNCHED = Ended("exit", 3)


def test_it_takes_some_failures_in_a_row_and_then_one_after_each_pause_which_grows() -> None:
    standing = Standing()
    for _ in range(LAUNCHES - 1):
        standing = after(standing, FAILED)
        assert pause_of(standing) == 0
    standing = after(standing, FAILED)
    assert pause_of(standing) == FIRST_PAUSE
    assert "no space left on device" in sentence(standing)
    pauses = []
    for _ in range(6):
        standing = after(paused(standing), FAILED)
        pauses.append(pause_of(standing))
    assert pauses == [120.0, 240.0, 480.0, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_a_task_that_was_launched_wipes_it_out_whatever_became_of_it() -> None:
    standing = after(after(Standing(), FAILED), FAILED)
    assert after(standing, LAUNCHED) == Standing()
    assert after(paused(standing), LAUNCHED) == Standing()


def test_a_bad_command_is_no_fault_of_the_node_and_a_killed_run_says_nothing() -> None:
    standing = after(Standing(), FAILED)
    assert after(standing, Ended("launchFailed", code="CommandProgramNotFound")) == standing
    assert after(standing, Ended("killed")) == standing


def test_a_disk_that_stays_full_is_the_nodes_fault_and_named() -> None:
    standing = Standing()
    for _ in range(LAUNCHES):
        standing = after(
            standing, Ended("diskFull", 137, code="DiskFull", message="the node's disk held 97 of 100 MiB.")
        )
    assert pause_of(standing) == FIRST_PAUSE
    assert (standing.reason, paused(standing).reason) == (Reason.DISK_FULL, Reason.DISK_FULL)
    assert sentence(standing).startswith("The node's disk is full, at last: the node's disk held 97 of 100 MiB.")
    locked = after(Standing(), Ended("launchFailed", code="ResourceDirectoryCreateFailed", message="read-only."))
    assert locked.reason is Reason.TASK_LAUNCH_FAILED
    assert sentence(locked).startswith("Tasks could not be launched here, at last: read-only.")
