"""The environment of a run: ours beats the user's beats the container's."""

import pytest

from batchpools.agent.environment import log_name, own_variables, resolve, task_variables
from batchpools.core.node_config import NodeConfig
from batchpools.link.messages import Run

CONFIG = NodeConfig("team", "demo", "demo-0", 2, "hub", 8443, 30.0)
ELEMENT = Run("uid:7:1:2", 1, "job-t1", "job", "t1", "workitems/job/t1/7", ["true"], [], 1, 0.0, True)
RUN = Run("uid:-:1:1", 1, "job-t1", "job", "t1", "workitems/job/t1", ["true"], [], 1, 0.0, True)
SYSTEM = task_variables(CONFIG, RUN)


def resolved(env: list[str], *, argv: list[str] | None = None, container: list[str] | None = None) -> dict[str, str]:
    _, pairs = resolve(argv or ["true"], env, SYSTEM, container or ["PATH=/bin", "LANG=C"])
    return dict(pair.split("=", 1) for pair in pairs)


def test_a_run_sees_the_variables_that_azure_batch_names() -> None:
    assert SYSTEM == {
        "AZ_BATCH_ACCOUNT_NAME": "team",
        "AZ_BATCH_POOL_ID": "demo",
        "AZ_BATCH_NODE_ID": "demo-0",
        "AZ_BATCH_NODE_IS_DEDICATED": "true",
        "AZ_BATCH_NODE_ROOT_DIR": "/mnt/batch",
        "AZ_BATCH_NODE_SHARED_DIR": "/mnt/batch/shared",
        "AZ_BATCH_NODE_STARTUP_DIR": "/mnt/batch/startup",
        "AZ_BATCH_NODE_STARTUP_WORKING_DIR": "/mnt/batch/startup/wd",
        "AZ_BATCH_NODE_MOUNTS_DIR": "/mnt/batch/fsmounts",
        "AZ_BATCH_JOB_ID": "job",
        "AZ_BATCH_TASK_ID": "t1",
        "AZ_BATCH_TASK_DIR": "/mnt/batch/workitems/job/t1",
        "AZ_BATCH_TASK_WORKING_DIR": "/mnt/batch/workitems/job/t1/wd",
        "AZ_BATCH_TASK_EXECUTION_ID": "uid:-:1:1",
        "HOME": "/mnt/batch/workitems/job/t1/wd",
        "TMPDIR": "/mnt/batch/workitems/job/t1/tmp",
    }


def test_a_start_task_has_no_job_and_no_task() -> None:
    assert not {"AZ_BATCH_JOB_ID", "AZ_BATCH_TASK_ID"} & set(own_variables(CONFIG))


@pytest.mark.parametrize(
    ("env", "name", "value"),
    [
        (["LANG=de"], "LANG", "de"),
        (["AZ_BATCH_TASK_ID=mine", "HOME=/root"], "AZ_BATCH_TASK_ID", "t1"),
        (["HOME=/root"], "HOME", "/mnt/batch/workitems/job/t1/wd"),
        (["PATH=$(PATH):$(HOME)/bin"], "PATH", "/bin:/mnt/batch/workitems/job/t1/wd/bin"),
        (["A=1", "B=$(A)2"], "B", "12"),
        (["A=x=y"], "A", "x=y"),
        (["EMPTY="], "EMPTY", ""),
    ],
)
def test_which_value_wins(env: list[str], name: str, value: str) -> None:
    assert resolved(env)[name] == value


def test_what_the_container_has_already_is_not_sent() -> None:
    assert "LANG" not in resolved(["LANG=C"])


def test_references_in_a_command_see_all_of_it() -> None:
    argv, _ = resolve(["$(A)", "$(LANG)", "$(AZ_BATCH_NODE_ID)", "$$(A)", "$(NO)"], ["A=1"], SYSTEM, ["LANG=C"])
    assert argv == ["1", "C", "demo-0", "$(A)", "$(NO)"]


def test_lines_in_the_containers_log_stand_behind_job_task_element_and_attempt() -> None:
    assert [log_name(RUN), log_name(ELEMENT)] == ["job/t1#1", "job/t1[7]#2"]
