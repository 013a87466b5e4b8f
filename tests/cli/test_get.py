"""`kubectl batch get`: tables to the letter, wide ones, JSON and YAML as kubectl has them, and what is refused."""

import json
from datetime import timedelta
from typing import Any

import pytest
import yaml
from tests.cli.stage import User

from batchpools.api import names
from batchpools.cli.access import CliError
from batchpools.cli.columns import KINDS
from batchpools.core.views import (
    ApplicationPackageStatus,
    FailureInfo,
    JobScheduleStatus,
    JobStatus,
    Meta,
    NodeError,
    PackageVersionStatus,
    PoolNodeStatus,
    PoolStatus,
    SlotCounts,
    TaskCounts,
    TaskStats,
    TaskStatus,
)
from batchpools.kube.errors import NotFoundError
from batchpools.testing import builders
from batchpools.testing.clock import EPOCH

HALF = JobStatus(task_counts=TaskCounts(active=1, running=1, completed=2, succeeded=1, failed=1))
TIDY = PoolStatus(target_nodes=3, current_nodes=2, node_counts={"idle": 2}, task_slots=SlotCounts(total=8, used=3))


def aged(kind: str, name: str, seconds: float, **more: Any) -> Meta:
    meta = builders.meta(name, kind=kind)
    return Meta(
        name=name,
        namespace=more.pop("namespace", meta.namespace),
        uid=f"{name}-uid",
        creation_timestamp=EPOCH - timedelta(seconds=seconds),
        **more,
    )


async def table(user: User, *words: str) -> str:
    assert await user.types("get", *words) == 0
    return user.out.text


async def test_without_a_kind_it_shows_pools_and_jobs() -> None:
    user = User(
        builders.pool("demo", metadata=aged("Pool", "demo", 90), status=TIDY, target_dedicated_nodes=3),
        builders.job("words", metadata=aged("Job", "words", 7300), status=HALF),
    )
    assert await table(user) == (
        "POOL  NODES  STATES  SLOTS  AGE\n"
        "demo  2/3    2 idle  3/8    90s\n"
        "\n"
        "JOB    POOL  STATE   PROGRESS                    DONE  RUNNING  FAILED  AGE\n"
        "words  demo  Active  [######!!!!!!............]  2/4   1        1       2h\n"
    )


async def test_nodes_show_their_trouble() -> None:
    status = PoolNodeStatus(
        state="StartTaskFailed",
        task_slots=4,
        running_tasks=1,
        node_name="machine-1",
        errors=(NodeError(code="StartTaskFailed", message="exit code 3 " + "!" * 80),),
    )
    user = User(builders.node("demo-0000", metadata=aged("PoolNode", "demo-0000", 150), status=status))
    assert await table(user, "nodes") == (
        "NODE       POOL  STATE            TASKS  ON         ERROR                                                         AGE\n"
        f"demo-0000  demo  StartTaskFailed  1/4    machine-1  exit code 3 {'!' * 48}  2m\n"
    )


async def test_tasks_show_exit_code_node_and_both_kinds_of_retries() -> None:
    failed = TaskStatus(
        state="Completed",
        result="Failure",
        exit_code=7,
        pool_node_name="demo-0000",
        retry_count=2,
        requeue_count=1,
        failure_info=FailureInfo(category="UserError", code="FailureExitCode"),
        stats=TaskStats(wall_clock_time="1.5s"),
    )
    user = User(
        builders.task("words.b", metadata=aged("Task", "words.b", 3), job_name="words", status=failed),
        builders.task("words.a", metadata=aged("Task", "words.a", 3), job_name="words"),
    )
    assert await table(user, "tasks", "-o", "wide") == (
        "TASK     STATE    EXIT  NODE       RETRIES  AGE  JOB    SLOTS  TOOK  FAILURE\n"
        "words.a  Active                    0+0      3s   words  1\n"
        "words.b  Failure  7     demo-0000  2+1      3s   words  1      1.5s  FailureExitCode\n"
    )


async def test_packages_show_their_versions_and_what_keeps_nodes_from_one() -> None:
    told = PackageVersionStatus(version="4.2", message="Application package blender 4.2: no.")
    meta = aged("ApplicationPackage", "blender", 150)
    user = User(builders.package("blender", metadata=meta, status=ApplicationPackageStatus(versions=(told,))))
    assert await table(user, "bapp") == (
        "PACKAGE  DEFAULT  VERSIONS  VERIFIED  TROUBLE                               AGE\n"
        "blender  4.2      4.2       0/1       Application package blender 4.2: no.  2m\n"
    )


async def test_schedules_show_their_times_and_what_stalls_them() -> None:
    status = JobScheduleStatus(
        schedule="0 6 * * * Europe/Berlin",
        active_job="nightly-3",
        last_schedule_time=EPOCH,
        next_run_time=EPOCH + timedelta(days=1),
        jobs_created=3,
        conditions=(builders.condition("Stalled", message="no"),),
    )
    user = User(builders.schedule("nightly", metadata=aged("JobSchedule", "nightly", 150), status=status))
    assert await table(user, "bjs") == (
        "SCHEDULE  TIMES                    STATE   ACTIVE     LAST                  NEXT                  JOBS  TROUBLE  AGE\n"
        "nightly   0 6 * * * Europe/Berlin  Active  nightly-3  2026-01-01 00:00:00Z  2026-01-02 00:00:00Z  3     no       2m\n"
    )


@pytest.mark.parametrize("kind", KINDS)
async def test_a_wide_table_begins_as_the_usual_one(kind: str) -> None:
    views = [builders.pool(), builders.node(), builders.job(), builders.task(), builders.schedule(), builders.package()]
    usual, wide = await table(User(*views), kind), await table(User(*views), kind, "-o", "wide")
    for short, long in zip(usual.splitlines(), wide.splitlines(), strict=True):
        assert long.split()[: len(short.split())] == short.split()
        assert len(long.split()) > len(short.split()) or not short.startswith(KINDS[kind].columns[0].heading)


async def test_all_namespaces_are_told_apart_and_sorted() -> None:
    user = User(
        builders.task("z", metadata=aged("Task", "z", 0, namespace="alpha")),
        builders.task("a", metadata=aged("Task", "a", 0, namespace="beta")),
    )
    assert [line.split()[:2] for line in (await table(user, "tasks", "-A")).splitlines()] == [
        ["NAMESPACE", "TASK"],
        ["alpha", "z"],
        ["beta", "a"],
    ]


async def test_more_than_a_page_is_shown() -> None:
    user = User(*(builders.task(f"words.{number:04}") for number in range(501)))
    assert len((await table(user, "tasks")).splitlines()) == 502


async def test_the_operators_own_objects_are_not_shown() -> None:
    own = aged("Task", "batchpools-barrier", 0, labels={names.LABEL_INTERNAL: "barrier"})
    assert await table(User(builders.task("own", metadata=own)), "tasks") == "No tasks in namespace default.\n"
    assert await table(User(), "nodes", "-A") == "No nodes in any namespace.\n"


async def test_tasks_of_one_job_only() -> None:
    user = User(builders.task("words.a", job_name="words"), builders.task("other.a", job_name="other"))
    assert [line.split()[0] for line in (await table(user, "tasks", "--job", "words")).splitlines()] == [
        "TASK",
        "words.a",
    ]


@pytest.mark.parametrize("name", ["words.encode", "words/Encode", "words/encode"])
async def test_a_task_is_found_by_its_name_or_by_job_and_id_in_any_case(name: str) -> None:
    user = User(builders.task("words.encode", job_name="words", id="Encode"), builders.task("words.other"))
    assert [line.split()[0] for line in (await table(user, "btask", name)).splitlines()] == ["TASK", "words.encode"]


async def test_a_task_that_is_not_there_is_named() -> None:
    with pytest.raises(NotFoundError, match="job 'words' has no task 'other' in namespace 'default'"):
        await User().types("get", "task", "words/other")


async def test_json_and_yaml_are_whole_objects_without_managed_fields() -> None:
    whole = builders.manifest(builders.job("words"))
    whole["spec"]["notInAnyView"] = True
    whole["metadata"]["managedFields"] = [{"manager": "kubectl"}]
    user = User()
    user.cluster.seed(whole)
    one = json.loads(await table(user, "job", "words", "-o", "json"))
    assert (one["kind"], one["spec"]["notInAnyView"], "managedFields" in one["metadata"]) == ("Job", True, False)
    again = User()
    again.cluster.seed(whole)
    listed = yaml.safe_load(await table(again, "jobs", "-o", "yaml"))
    assert (listed["kind"], [item["metadata"]["name"] for item in listed["items"]]) == ("List", ["words"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [(["job", "words", "-A"], "leave out --all-namespaces"), (["pools", "--job", "words"], "--job is for tasks")],
)
async def test_words_that_contradict_each_other_are_refused(words: list[str], sentence: str) -> None:
    with pytest.raises(CliError, match=sentence) as caught:
        await User().types("get", *words)
    assert caught.value.code == 2
