"""Why a task waits, with every refusal, and its place in the queue."""

from datetime import UTC, datetime

import pytest

from batchpools.api.reasons import Reason
from batchpools.core.ledger import Explanation
from batchpools.core.scheduling.book import PoolBook, WaitingTask
from batchpools.core.scheduling.explain import explain_waiting, place_in_queue
from batchpools.core.scheduling.fit import Question, first_refusal
from batchpools.core.scheduling.placement import Room
from batchpools.core.views import JobStatus
from batchpools.testing import builders

POOL = builders.pool("demo", task_slots_per_node=4)
JOB = builders.job("primes")
ROOM = Room("n1", "pod-n1", 4, 1)
DYING = builders.meta("demo", kind="Pool", deletion_timestamp=datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("question", "reason"),
    [
        pytest.param(Question("primes", 1, None, None), Reason.JOB_NOT_FOUND, id="no job"),
        pytest.param(Question("primes", 1, JOB, None), Reason.POOL_NOT_FOUND, id="no pool"),
        pytest.param(
            Question("primes", 1, JOB, builders.pool(metadata=DYING)), Reason.POOL_NOT_FOUND, id="the pool goes away"
        ),
        pytest.param(
            Question("primes", 1, builders.job(status=JobStatus(state="Completed")), POOL),
            Reason.JOB_NOT_ACTIVE,
            id="the job has ended",
        ),
        pytest.param(Question("primes", 5, JOB, POOL, [ROOM]), Reason.REQUIRED_SLOTS_TOO_LARGE, id="too large"),
        pytest.param(Question("primes", 1, JOB, POOL, [ROOM], ["n2"]), Reason.NODES_NOT_HEARD, id="a silent node"),
        pytest.param(Question("primes", 1, JOB, POOL), Reason.NO_NODES, id="no nodes"),
    ],
)
def test_each_check_refuses_with_its_reason(question: Question, reason: Reason) -> None:
    refusal = first_refusal(question)
    assert refusal is not None
    assert refusal.reason == reason


def test_a_task_that_could_run_is_refused_by_nothing() -> None:
    assert first_refusal(Question("primes", 1, JOB, POOL, [ROOM])) is None


def test_an_explanation_keeps_every_refusal() -> None:
    told = explain_waiting(Question("primes", 2, JOB, POOL, [ROOM], ["n7"]), None, "t", "Active")
    silent = "The task may be running on a node that has not reported since the last change of leader: n7."
    full = "1 of 4 slots are free, 2 are needed."
    assert told == Explanation("Active", "", "NodesNotHeard", silent, 0, 0, (("", silent), ("n1", full)))


def _book() -> PoolBook:
    made = PoolBook()
    for job, priority, count in (("vip", 5, 3), ("a", 0, 4), ("b", 0, 2)):
        for number in range(count):
            task = WaitingTask(float(number), f"{job}{number}", 1)
            made.add(job, task, priority=priority, created=0.0, job_uid=job)
    return made


@pytest.mark.parametrize(
    ("job", "uid", "place"),
    [
        pytest.param("vip", "vip0", 1, id="first"),
        pytest.param("vip", "vip2", 3, id="within the highest priority"),
        pytest.param("a", "a0", 4, id="behind higher priority"),
        pytest.param("b", "b0", 5, id="equals take turns"),
        pytest.param("a", "a1", 6, id="one of the other before"),
        pytest.param("a", "a3", 9, id="the other has no more than it has"),
        pytest.param("b", "gone", 0, id="not in the queue"),
    ],
)
def test_the_place_in_the_queue_is_the_order_in_which_they_would_go(job: str, uid: str, place: int) -> None:
    assert place_in_queue(_book(), job, uid) == (place, 9)


def test_no_queue_no_place() -> None:
    assert place_in_queue(None, "a", "a0") == (0, 0)
