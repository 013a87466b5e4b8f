"""A task's environment: who beats whom, and what is expanded."""

from batchpools.agent.environment import resolve, task_variables
from batchpools.core.node_config import NodeConfig
from batchpools.link.messages import Run

CONFIG = NodeConfig("ns", "p", "p-0000", 1, "hub", 1, 30.0)
RUN = Run("uid:-:1:1", 1, "ns/j.t", "j", "t", "workitems/j/t", ["x"], [], 1, 0.0, True)


def test_the_system_beats_the_user_and_the_user_the_container() -> None:
    system = task_variables(CONFIG, RUN)
    user = ["AZ_BATCH_JOB_ID=mine", "HOME=/elsewhere", "LANG=C", "OWN=$(LANG)-$(AZ_BATCH_TASK_ID)"]
    argv, env = resolve(["echo", "$(OWN)", "$(NONE)", "$$(OWN)"], user, system, ["LANG=de", "PATH=/bin"])
    pairs = dict(pair.partition("=")[::2] for pair in env)
    assert pairs["AZ_BATCH_JOB_ID"] == "j"
    assert pairs["HOME"] == "/mnt/batch/workitems/j/t/wd"
    assert pairs["LANG"] == "C"
    assert pairs["OWN"] == "C-t"
    assert "PATH" not in pairs, "what the container has anyway is not sent"
    assert argv == ["echo", "C-t", "$(NONE)", "$(OWN)"]


def test_every_variable_of_the_table_is_there() -> None:
    assert sorted(task_variables(CONFIG, RUN)) == [
        "AZ_BATCH_ACCOUNT_NAME",
        "AZ_BATCH_JOB_ID",
        "AZ_BATCH_NODE_ID",
        "AZ_BATCH_NODE_IS_DEDICATED",
        "AZ_BATCH_NODE_MOUNTS_DIR",
        "AZ_BATCH_NODE_ROOT_DIR",
        "AZ_BATCH_NODE_SHARED_DIR",
        "AZ_BATCH_NODE_STARTUP_DIR",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR",
        "AZ_BATCH_POOL_ID",
        "AZ_BATCH_TASK_DIR",
        "AZ_BATCH_TASK_EXECUTION_ID",
        "AZ_BATCH_TASK_ID",
        "AZ_BATCH_TASK_WORKING_DIR",
        "HOME",
        "TMPDIR",
    ]
