"""Objects for tests, with everything that a test does not care about filled in.

`pool("demo", target_dedicated_nodes=2)` is a view, `manifest(pool("demo"))` the same as the API server would hold it.
Other keywords than those named are fields of the spec; an unknown one is a TypeError.
"""

from datetime import datetime
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.core.identity import Key
from batchpools.core.views import (
    ApplicationPackageSpec,
    ApplicationPackageStatus,
    ApplicationPackageView,
    ConditionView,
    JobScheduleSpec,
    JobScheduleStatus,
    JobScheduleView,
    JobSpec,
    JobStatus,
    JobTemplate,
    JobView,
    Meta,
    OwnerReference,
    PackageVersion,
    PodSpec,
    PodStatus,
    PodView,
    PoolNodeSpec,
    PoolNodeStatus,
    PoolNodeView,
    PoolSpec,
    PoolStatus,
    PoolView,
    TaskSpec,
    TaskStatus,
    TaskView,
)
from batchpools.testing.clock import EPOCH

NAMESPACE = "default"
IMAGE = "python:3.12-slim"

AnyView = PoolView | PoolNodeView | JobView | TaskView | PodView | JobScheduleView | ApplicationPackageView


def meta(name: str, *, kind: str = "", owner: AnyView | None = None, **fields: Any) -> Meta:
    """Metadata of a living object in `default`; its uid is told by kind and name. `owner` adds a controller reference."""
    told: dict[str, Any] = {
        "namespace": NAMESPACE,
        "uid": f"uid-{kind.lower()}-{name}",
        "generation": 1,
        "creation_timestamp": EPOCH,
        **fields,
    }
    if owner is not None:
        told["owner_references"] = (owner_reference(owner),)
    return Meta(name=name, **told)


def owner_reference(owner: AnyView) -> OwnerReference:
    """A controller reference to an object."""
    return OwnerReference(kind=kind_of(owner), name=owner.metadata.name, uid=owner.metadata.uid, controller=True)


def pool(
    name: str = "demo", *, metadata: Meta | None = None, status: PoolStatus | None = None, **spec: Any
) -> PoolView:
    """A Pool, image given, target 0."""
    return PoolView(
        metadata=metadata or meta(name, kind="Pool"),
        spec=PoolSpec(**{"image": IMAGE, **spec}),
        status=status or PoolStatus(),
    )


def node(
    name: str = "demo-0001",
    *,
    pool_name: str = "demo",
    metadata: Meta | None = None,
    status: PoolNodeStatus | None = None,
    **spec: Any,
) -> PoolNodeView:
    """A PoolNode of pool `demo`, just created."""
    labels = {names.LABEL_POOL: pool_name, names.LABEL_MANAGED_BY: names.MANAGED_BY}
    return PoolNodeView(
        metadata=metadata or meta(name, kind="PoolNode", labels=labels),
        spec=PoolNodeSpec(pool_name=pool_name, **spec),
        status=status or PoolNodeStatus(),
    )


def job(name: str = "primes", *, metadata: Meta | None = None, status: JobStatus | None = None, **spec: Any) -> JobView:
    """An active Job on pool `demo`, without tasks."""
    return JobView(
        metadata=metadata or meta(name, kind="Job"),
        spec=JobSpec(**{"pool_name": "demo", **spec}),
        status=status or JobStatus(),
    )


def schedule(
    name: str = "nightly",
    *,
    metadata: Meta | None = None,
    status: JobScheduleStatus | None = None,
    **spec: Any,
) -> JobScheduleView:
    """A JobSchedule of one job at once, with one task, on pool `demo`."""
    tasks = [{"id": "work", "command": ["true"]}]
    told = {"job_template": JobTemplate(spec={"poolName": "demo", "tasks": tasks}), **spec}
    return JobScheduleView(
        metadata=metadata or meta(name, kind="JobSchedule"),
        spec=JobScheduleSpec(**told),
        status=status or JobScheduleStatus(),
    )


def package(
    name: str = "blender",
    *,
    metadata: Meta | None = None,
    status: ApplicationPackageStatus | None = None,
    **spec: Any,
) -> ApplicationPackageView:
    """An ApplicationPackage with one version, 4.2, its default one."""
    versions = (PackageVersion(version="4.2", url="https://files.example/blender.zip"),)
    return ApplicationPackageView(
        metadata=metadata or meta(name, kind="ApplicationPackage"),
        spec=ApplicationPackageSpec(**{"default_version": "4.2", "versions": versions, **spec}),
        status=status or ApplicationPackageStatus(),
    )


def task(
    name: str = "primes.work", *, metadata: Meta | None = None, status: TaskStatus | None = None, **spec: Any
) -> TaskView:
    """A Task of job `primes` that runs `true`; its id is what follows the first dot of its name."""
    told = {"job_name": "primes", "id": name.partition(".")[2] or name, "command": ("true",), **spec}
    return TaskView(metadata=metadata or meta(name, kind="Task"), spec=TaskSpec(**told), status=status or TaskStatus())


def pod(
    name: str = "demo-0001-1",
    *,
    pool_name: str = "demo",
    node_name: str = "demo-0001",
    metadata: Meta | None = None,
    status: PodStatus | None = None,
    **spec: Any,
) -> PodView:
    """The pod of a node (`node_name` is the PoolNode's); pending on no machine unless a keyword `machine` names one."""
    labels = {
        names.LABEL_POOL: pool_name,
        names.LABEL_NODE: node_name,
        names.LABEL_MANAGED_BY: names.MANAGED_BY,
    }
    machine = spec.pop("machine", "")
    return PodView(
        metadata=metadata or meta(name, kind="Pod", labels=labels, finalizers=(names.FINALIZER_POD,)),
        spec=PodSpec(node_name=machine, **spec),
        status=status or PodStatus(phase="Pending"),
    )


def condition(
    type_: str, status: str = "True", reason: str = "Test", *, message: str = "", since: datetime = EPOCH
) -> ConditionView:
    """A condition."""
    return ConditionView(type=type_, status=status, reason=reason, message=message, last_transition_time=since)


def kind_of(view: AnyView) -> str:
    """The kind that a view is of."""
    return type(view).__name__.removesuffix("View")


def key_of(view: AnyView) -> Key:
    """The key under which queues and appliers know an object."""
    return Key(kind_of(view), view.metadata.namespace, view.metadata.name)


def manifest(view: AnyView) -> dict[str, Any]:
    """A view as JSON, with apiVersion and kind: what `FakeKube.seed` and `create` take."""
    told: dict[str, Any] = msgspec.to_builtins(view)
    if isinstance(view, PodView):
        told["spec"] = {"containers": [{"name": names.TASK_CONTAINER, "image": IMAGE}], **told.get("spec", {})}
    return {"apiVersion": "v1" if isinstance(view, PodView) else names.API_VERSION, "kind": kind_of(view), **told}
