"""Marks of busy pods, and the budget that lets none of them go."""

from typing import Any

from msgspec.structs import replace
from tests.core.pools.situations import NOW, READY, RUNNING, node, pod, pool, situation

from batchpools.api import names
from batchpools.core.ledger import NodeRuns
from batchpools.core.plan import Create, Delete, Mark, ReplaceSpec
from batchpools.core.pools.disruption import MORE_THAN_ANY, budget_name, plan_budget, wanted_spec
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.views import BudgetView, Meta, OwnerReference, PodView, PoolNodeView

SEEN: dict[str, Any] = {"pod_generation": 1, "pod_name": "p-0000-1", "pod_uid": "uid-p-0000-1"}


def held(spec: object = None, owner: str = "pool-uid") -> BudgetView:
    meta = Meta(
        name="p-busy", namespace="ns", uid="b", resource_version="3", owner_references=(OwnerReference(uid=owner),)
    )
    return BudgetView(metadata=meta, spec=wanted_spec("p") if spec is None else dict(spec))  # type: ignore[call-overload]


def marks_of(view: PoolNodeView, present: PodView, *, busy: bool) -> list[Mark]:
    plan = plan_node(situation(view, present, report=READY, runs=NodeRuns(busy=busy)), now=NOW)
    return [effect for effect in plan.effects if isinstance(effect, Mark)]


def labelled(present: PodView) -> PodView:
    return replace(present, metadata=replace(present.metadata, labels={names.LABEL_BUSY: "true"}))


def test_a_pod_is_marked_when_it_is_busy_and_again_when_it_is_idle_and_never_twice() -> None:
    plain = pod(task=RUNNING)
    (busy,) = marks_of(node(**SEEN), plain, busy=True)
    assert (busy.labels, busy.annotations) == (
        {names.LABEL_BUSY: "true"},
        {names.ANNOTATION_SAFE_TO_EVICT: "false"},
    )
    (idle,) = marks_of(node(**SEEN), labelled(plain), busy=False)
    assert (idle.labels, idle.annotations) == (
        {names.LABEL_BUSY: "false"},
        {names.ANNOTATION_SAFE_TO_EVICT: "true"},
    )
    assert marks_of(node(**SEEN), labelled(plain), busy=True) == marks_of(node(**SEEN), plain, busy=False) == []


def test_a_pod_that_goes_is_not_marked() -> None:
    assert marks_of(node(**SEEN), pod(task=RUNNING, deleted=True), busy=True) == []


def test_the_budget_lets_no_busy_pod_of_its_pool_go_whatever_their_number() -> None:
    spec = wanted_spec("p")
    assert spec["minAvailable"] == MORE_THAN_ANY > 2 * 10_000  # the most that a pool can have, of both sorts
    assert spec["selector"] == {"matchLabels": {names.LABEL_POOL: "p", names.LABEL_BUSY: "true"}}
    assert isinstance(spec["minAvailable"], int)  # a percentage needs a controller that knows how many there are


def test_a_budget_is_made_put_right_and_goes_with_its_pool() -> None:
    (create,) = plan_budget(pool(), None)
    assert isinstance(create, Create)
    assert (create.key.name, create.owner_uid) == (budget_name("p"), "pool-uid")
    assert plan_budget(pool(), held()) == ()
    (put_right,) = plan_budget(pool(), held({"minAvailable": 1}))
    assert isinstance(put_right, ReplaceSpec)
    (gone,) = plan_budget(pool(deleted=True), held())
    assert isinstance(gone, Delete)
    assert plan_budget(pool(deleted=True), None) == ()


def test_somebody_elses_budget_of_that_name_is_found_and_told_and_left_alone() -> None:
    (create,) = plan_budget(pool(), held(owner="another"))
    assert isinstance(create, Create)
    assert plan_budget(pool(deleted=True), held(owner="another")) == ()
