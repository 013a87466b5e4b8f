"""Pools, nodes and pods for the tests of this room."""

from datetime import UTC, datetime
from typing import Any

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.ledger import NodeRuns
from batchpools.core.pools.node_plan import NodeSituation, plan_node
from batchpools.core.pools.node_pod import NodePodSettings
from batchpools.core.pools.node_state import Report
from batchpools.core.views import (
    ContainerState,
    ContainerStateDetail,
    ContainerStatus,
    Meta,
    OwnerReference,
    PodSpec,
    PodStatus,
    PodView,
    PoolNodeSpec,
    PoolNodeStatus,
    PoolNodeView,
    PoolSpec,
    PoolStatus,
    PoolView,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = NodePodSettings("image:1", "hub.ns.svc", 8443, "CA")
READY = Report("Ready", "boot")


def pool(target: int = 1, *, deleted: bool = False, status: PoolStatus | None = None, **spec: Any) -> PoolView:
    meta = Meta(
        name="p",
        namespace="ns",
        uid="pool-uid",
        generation=1,
        deletion_timestamp=NOW if deleted else None,
        finalizers=(names.FINALIZER_POOL,),
    )
    wanted = PoolSpec(**{"image": "x", **spec, "target_dedicated_nodes": target})
    return PoolView(metadata=meta, spec=wanted, status=status or PoolStatus())


def node(
    number: int = 0,
    *,
    deleted: bool = False,
    finalizer: bool = True,
    marked: bool = False,
    is_dedicated: bool = True,
    spec: PoolNodeSpec | None = None,
    **status: Any,
) -> PoolNodeView:
    meta = Meta(
        name=f"p-{'' if is_dedicated else 'l'}{number:04d}",
        namespace="ns",
        uid=f"node-uid-{number}",
        resource_version="5",
        generation=1,
        deletion_timestamp=NOW if deleted else None,
        finalizers=(names.FINALIZER_NODE,) if finalizer else (),
        annotations={names.ANNOTATION_LEAVING: "true"} if marked else {},
    )
    spec = spec or PoolNodeSpec(pool_name="p", is_dedicated=is_dedicated)
    return PoolNodeView(metadata=meta, spec=spec, status=PoolNodeStatus(**status))


def pod(
    name: str = "p-0000-1",
    *,
    task: ContainerState | None = None,
    deleted: bool = False,
    phase: str = "Running",
    machine: str = "node1",
    owner: str = "node-uid-0",
    restarts: int = 0,
    ca: dict[str, str] | None = None,
) -> PodView:
    statuses = (ContainerStatus(name="task", state=task, restart_count=restarts),) if task is not None else ()
    meta = Meta(
        name=name,
        namespace="ns",
        uid=f"uid-{name}",
        resource_version="11",
        deletion_timestamp=NOW if deleted else None,
        owner_references=(OwnerReference(kind="PoolNode", name="p-0000", uid=owner, controller=True),),
        finalizers=(names.FINALIZER_POD,),
        annotations={names.ANNOTATION_CA: SETTINGS.ca} if ca is None else ca,
    )
    return PodView(
        metadata=meta,
        spec=PodSpec(node_name=machine),
        status=PodStatus(phase=phase, start_time=NOW, container_statuses=statuses),
    )


RUNNING = ContainerState(running={})
DEAD = ContainerState(terminated=ContainerStateDetail(exit_code=137))


def waiting(reason: str, message: str = "") -> ContainerState:
    return ContainerState(waiting=ContainerStateDetail(reason=reason, message=message))


def situation(view: PoolNodeView, present: PodView | None = None, **more: Any) -> NodeSituation:
    known: dict[str, Any] = {"pool": pool(), "settings": SETTINGS, "runs": NodeRuns(), **more}
    return NodeSituation(node=view, pod=present, **known)


def assert_unusable_until_there(told: Report, code: str) -> None:
    """What its agent waits for makes a node Unusable, with the agent's words; when it is there the node is Idle."""
    seen = node(pod_generation=1, pod_name="p-0000-1", pod_uid="uid-p-0000-1")
    status = plan_node(situation(seen, pod(task=RUNNING), report=told), now=NOW).status
    assert status is not None
    assert status.state == "Unusable"
    assert [(one.code, one.message) for one in status.errors] == [(code, told.message)]
    ready = find_condition(status.conditions, "Ready")
    assert ready is not None
    assert (ready.status, ready.reason, ready.message) == ("False", code, told.message)
    later = plan_node(situation(seen, pod(task=RUNNING), report=Report("Ready", "boot")), now=NOW).status
    assert later is not None
    assert (later.state, later.errors) == ("Idle", ())
