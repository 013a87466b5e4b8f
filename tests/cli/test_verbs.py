"""kubectl batch on a fake API server: tables, names, exit codes, and the kubectl that it teaches."""

import argparse
import io
from typing import Any

import pytest

from batchpools.cli import get, wait
from batchpools.cli.__main__ import parser
from batchpools.cli.access import Access
from batchpools.cli.tables import age, bar, table
from batchpools.core.views import JobStatus, PoolStatus, SlotCounts, TaskCounts, TaskStatus
from batchpools.kube.errors import NotFoundError
from batchpools.testing import builders
from batchpools.testing.clock import EPOCH
from batchpools.testing.fake_kube import FakeKube


def access(*views: Any, show: bool = False) -> Access:
    kube = FakeKube()
    for view in views:
        kube.seed(builders.manifest(view))
    return Access(kube, builders.NAMESPACE, show=show, out=io.StringIO())  # type: ignore[arg-type] # the raw paths are not met


def said(to: Access) -> list[str]:
    assert isinstance(to.out, io.StringIO)
    return to.out.getvalue().splitlines()


def options(*words: str) -> argparse.Namespace:
    return parser().parse_args(words)


DONE = JobStatus(state="Completed", result="Success", task_counts=TaskCounts(completed=2, succeeded=2))


async def test_jobs_are_listed_with_their_progress() -> None:
    half = JobStatus(task_counts=TaskCounts(active=1, running=1, completed=2, succeeded=1, failed=1))
    to = access(builders.job("words", status=half, pool_name="demo"))
    await get.run(to, options("get", "jobs"))
    header, row = said(to)
    assert header.split() == ["JOB", "POOL", "STATE", "PROGRESS", "DONE", "RUNNING", "FAILED", "AGE"]
    assert row.split()[:7] == ["words", "demo", "Active", "[######!!!!!!............]", "2/4", "1", "1"]


async def test_pools_show_nodes_and_slots() -> None:
    status = PoolStatus(current_dedicated_nodes=2, node_counts={"idle": 2}, task_slots=SlotCounts(total=8, used=3))
    to = access(builders.pool("demo", status=status, target_dedicated_nodes=3))
    await get.run(to, options("get", "pools"))
    assert said(to)[1].split()[:5] == ["demo", "2/3", "2", "idle", "3/8"]


async def test_nothing_is_said_to_be_nothing() -> None:
    to = access()
    await get.run(to, options("get", "tasks"))
    assert said(to) == ["No tasks in namespace default."]


async def test_every_verb_can_show_the_kubectl_that_does_the_same() -> None:
    to = access(builders.job("words", status=DONE), show=True)
    await get.run(to, options("get", "job", "words", "--show-kubectl"))
    await wait.run(to, options("wait", "words", "--show-kubectl"))
    shown = [line for line in said(to) if line.startswith("$")]
    assert shown == [
        "$ kubectl get bjob words -n default",
        "$ kubectl wait --for=condition=Finished bjob/words -n default",
    ]


@pytest.mark.parametrize(("result", "code"), [("Success", 0), ("Failure", 1)])
async def test_wait_ends_with_the_jobs_result(result: str, code: int) -> None:
    to = access(builders.job("words", status=JobStatus(state="Completed", result=result)))
    assert await wait.run(to, options("wait", "words")) == code


async def test_wait_says_that_a_job_without_an_end_will_not_end_and_gives_up_in_time() -> None:
    to = access(builders.job("words", on_all_tasks_complete="NoAction"))
    assert await wait.run(to, options("wait", "words", "--timeout", "1ms")) == 124
    assert "will not end by itself" in said(to)[0]


async def test_wait_refuses_a_time_that_is_none() -> None:
    assert await wait.run(access(), options("wait", "words", "--timeout", "soon")) == 2


async def test_a_task_is_found_by_job_and_id_in_any_case() -> None:
    to = access(builders.task("words.encode", job_name="words", id="Encode", status=TaskStatus()))
    assert (await to.task("words/encode")).metadata.name == "words.encode"
    assert (await to.task("words.encode")).metadata.name == "words.encode"
    with pytest.raises(NotFoundError, match="has no task 'other'"):
        await to.task("words/other")


def test_columns_are_aligned() -> None:
    assert table(("A", "LONG"), [("wide-cell", 1), ("x", 22)]) == ["A          LONG", "wide-cell  1", "x          22"]


@pytest.mark.parametrize(
    ("done", "failed", "total", "text"),
    [(0, 0, 0, "." * 24), (24, 0, 24, "#" * 24), (12, 12, 24, "!" * 12 + "." * 12), (1, 1, 1000, "!" + "." * 23)],
)
def test_a_bar_shows_failures_even_when_they_are_few(done: int, failed: int, total: int, text: str) -> None:
    assert bar(done, failed, total) == f"[{text}]"


def test_an_age_has_one_unit() -> None:
    assert age(EPOCH, EPOCH.replace(hour=EPOCH.hour)) == "0s"
    assert age(None, EPOCH) == ""
