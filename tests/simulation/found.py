"""Scripts that brought defects of ours to light, as small as they could be made. They must hold from now on."""

from batchpools.testing.simulation.history import Script
from batchpools.testing.simulation.stage import Act
from batchpools.testing.simulation.workload import LARGE, SMALL

FOUND: dict[str, Script] = {
    "a container that was started again, in a pod that the garbage collector then called Failed, counted as dead": Script(
        1,
        SMALL,
        (
            Act(0.832, "cut-link", 50, 2.919, 4),
            Act(3.564, "end-watches", 43, 0.216, 3),
            Act(4.519, "kill-container", 46, 2.341, 6),
            Act(5.104, "lose-pod", 55, 6.399, 4),
        ),
    ),
    "a live run of a task that was deleted under a leader without API did not count as using its slots": Script(
        100139, SMALL, (Act(7.188, "cut-api", 16, 21.84, 1), Act(12.088, "delete-task", 10, 0.731, 2))
    ),
    "an agent that had not met its paused runner again said that a run to be killed was not there": Script(
        100348,
        SMALL,
        (
            Act(2.061, "pause-runner", 4, 17.085, 4),
            Act(5.453, "kill-agent", 31, 2.744, 2),
            Act(6.441, "delete-node", 61, 0.201, 6),
        ),
    ),
    "a run whose task was deleted before the election did not count as using its slots": Script(
        100252,
        SMALL,
        (
            Act(7.25, "delete-node", 7, 13.661, 7),
            Act(8.927, "slow-watch", 26, 14.461, 7),
            Act(16.825, "lose-pod", 37, 0.279, 1),
            Act(17.611, "stop-operator", 56, 0.713, 5),
            Act(17.624, "recreate-task", 41, 20.354, 0),
        ),
    ),
    "an account that came twice said that the runs sent since the first were not there": Script(
        43,
        SMALL,
        (
            Act(1.729, "crash-operator", 60, 5.767, 0),
            Act(7.082, "crash-operator", 37, 14.867, 2),
            Act(9.837, "duplicate", 1, 2.503, 6),
        ),
    ),
    "a task that was asked about while another node was silent was let go by nobody": Script(
        739947590,
        LARGE,
        (
            Act(10.071, "slow-watch", 37, 20.564, 6),
            Act(10.336, "cut-api", 6, 33.56, 4),
            Act(10.53, "lose-pod", 32, 0.987, 0),
            Act(11.614, "crash-operator", 7, 10.81, 5),
            Act(17.906, "delete-lease", 54, 2.385, 6),
            Act(39.623, "recreate-job", 45, 13.413, 4),
            Act(50.769, "kill-agent", 2, 2.245, 4),
        ),
        is_warm=True,
    ),
}
