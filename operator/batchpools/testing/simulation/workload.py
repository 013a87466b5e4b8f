"""What users of a history apply: a pool, a job with inline tasks, a job with tasks of their own. Drawn from the seed beforehand.

A task's command says how long it takes and with what code it ends, so that every result can be told from every other.
"""

from dataclasses import dataclass
from random import Random
from typing import Any

from batchpools.api import names
from batchpools.testing.simulation.files import files_of

NAMESPACE = "default"
POOL = "demo"
INLINE, LOOSE = "inline", "loose"
SCHEDULE = "nightly"
TOOL = "tool"
PACKAGE = "blender"

_SHORT = [0.05, 0.2, 0.5, 1.0, 2.5, 4.0, 7.0]

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """How large a history is."""

    nodes: int = 3
    slots: int = 2
    tasks: int = 12
    acts: int = 12
    seconds: float = 20.0  # in which things happen
    further: bool = False  # whether the pool has a second container, in which every other task runs
    long: tuple[float, float] = (12.0, 22.0)  # longer than a runner goes on by itself, and than a node may be silent


SMALL = Size()
LARGE = Size(nodes=8, slots=4, tasks=120, acts=120, seconds=60.0, long=(20.0, 40.0))


def scale(nodes: int) -> Manifest:
    """An autoscaled pool: so many nodes at least, and two more when tasks wait."""
    return {"minNodes": nodes, "maxNodes": nodes + 2, "idleTimeout": "5s", "evaluationInterval": "2s"}


def pool(size: Size, *, fill: str, option: str, is_scaled: bool = False) -> Manifest:
    """The pool; an autoscaled one begins with one node."""
    wanted = {"autoScale": scale(1)} if is_scaled else {"targetDedicatedNodes": size.nodes}
    return _object(
        "Pool",
        POOL,
        {
            **images(size, "image"),
            **wanted,
            "taskSlotsPerNode": size.slots,
            "allowElevated": True,
            "taskSchedulingPolicy": {"nodeFillType": fill},
            "nodeDeallocationOption": option,
            "drainTimeout": "3s",
            "nodeUnreachableTimeout": "10s",
        },
    )


def images(size: Size, image: str) -> Manifest:
    """What the pool's spec says of images."""
    if not size.further:
        return {"image": image}
    containers = [{"name": TOOL, "image": image}, {"name": names.TASK_CONTAINER, "image": image}]
    return {"template": {"spec": {"containers": containers}}}


def image_of(applied: Manifest) -> str:
    """The image of a pool's task container."""
    spec = applied["spec"]
    given = spec["template"]["spec"]["containers"] if "template" in spec else [{"name": names.TASK_CONTAINER, **spec}]
    return str(next(one["image"] for one in given if one["name"] == names.TASK_CONTAINER))


def inline_job(size: Size, random: Random, manager: Manifest | None = None) -> Manifest:
    """A job that ends when its inline tasks have ended, or with its manager."""
    tasks = [
        {"id": f"t{number}", **_body(size, random, number), **_rights(number)} for number in range(size.tasks // 2)
    ]
    spec = {"poolName": POOL, "priority": random.randint(-1, 1), "onAllTasksComplete": "TerminateJob", "tasks": tasks}
    if manager is not None:
        spec["jobManagerTask"] = manager
    return _object("Job", INLINE, spec)


def manager(random: Random) -> Manifest:
    """A job manager that runs for a while: alone on its node or not, with its job's end or not."""
    return {
        "id": "manager",
        "command": ["simulate", str(random.choice([2.5, 7.0, 15.0])), str(random.choice([0, 0, 5]))],
        "constraints": {"maxTaskRetryCount": random.choice([0, 1])},
        "runExclusive": random.random() < 0.7,
        "killJobOnCompletion": random.random() < 0.7,
    }


def is_ours(kind: str, item: Manifest) -> bool:
    """Whether a Pool is the one that users made, or a PoolNode is of it; of any other kind it is."""
    if kind == "Pool":
        return bool(item["metadata"]["name"] == POOL)
    return kind != "PoolNode" or bool(item["spec"]["poolName"] == POOL)


def schedule(random: Random) -> Manifest:
    """A schedule of small jobs, some of which fail; half of them have a pool that they share."""
    tasks = []
    for number in range(2):
        code = random.choice([0, 0, 0, 7])
        command = ["simulate", str(random.choice(_SHORT[:5])), str(code)]
        tasks.append({"id": f"t{number}", "command": command, "constraints": {"maxTaskRetryCount": number}})
    where: dict[str, Any] = {"poolName": POOL}
    if random.random() < 0.5:
        template = {
            "image": "image",
            "targetDedicatedNodes": 1,
            "taskSlotsPerNode": 2,
            "drainTimeout": "3s",
            "nodeUnreachableTimeout": "10s",
        }
        where = {"autoPool": {"poolLifetime": "JobSchedule", "template": template}}
    spec = {**where, "onAllTasksComplete": "TerminateJob", "tasks": tasks}
    times = {"recurrenceInterval": random.choice(["2s", "4s"])}
    return _object("JobSchedule", SCHEDULE, {"schedule": times, "jobTemplate": {"spec": spec}})


def package(number: int) -> Manifest:
    """An application package of two versions, as its author leaves it after so many changes."""
    versions = [{"version": one, "url": f"https://played/{one}/{number}.zip"} for one in ("1", "2")]
    return _object("ApplicationPackage", PACKAGE, {"defaultVersion": str(1 + number % 2), "versions": versions})


def loose_job(random: Random) -> Manifest:
    """A job whose tasks come one by one."""
    return _object("Job", LOOSE, {"poolName": POOL, "priority": random.randint(-1, 1)})


def loose_task(number: int, size: Size, random: Random) -> Manifest:
    """One of them."""
    return _object(
        "Task",
        f"{LOOSE}.t{number}",
        {"jobName": LOOSE, "id": f"t{number}", **_body(size, random, number), **_rights(number)},
    )


def _body(size: Size, random: Random, number: int) -> dict[str, Any]:
    is_long = random.random() < 0.1
    seconds = random.choice(size.long if is_long else _SHORT)
    code = 0 if random.random() < 0.7 else random.randint(1, 120)
    retries = 0 if is_long else random.choice([0, 0, 1, 2])
    kept = {"retentionTime": "1s"} if code % 2 == 0 else {}  # those are cleaned within a history
    return {
        "command": ["simulate", str(seconds), str(code)],
        "constraints": {"maxTaskRetryCount": retries, **kept},
        "requiredSlots": random.choice([1, 1, 1, 2]),
        **({"container": TOOL} if size.further and number % 2 else {}),
        **files_of(number),
    }


def _rights(number: int) -> dict[str, Any]:
    """Some tasks ask to be root."""
    return {"elevated": True} if number % 4 == 1 else {}


def _object(kind: str, name: str, spec: dict[str, Any]) -> Manifest:
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": spec,
    }
