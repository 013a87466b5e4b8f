"""Everything that can happen in a history: what users do, what breaks, and how it heals. One function an act.

An act has a target (a number, taken modulo what there is), a length in seconds, and a second number for its flavour: so a script
of acts still means something when some of them are left out.
"""

from collections.abc import Callable
from random import Random

from batchpools.api import names
from batchpools.kube.port import Resource
from batchpools.kube.resources import APPLICATION_PACKAGES, JOB_SCHEDULES, JOBS, LEASES, PODS, POOL_NODES, POOLS, TASKS
from batchpools.testing.object_rules import Object
from batchpools.testing.simulation import workload
from batchpools.testing.simulation.kubelet import Machine
from batchpools.testing.simulation.loop import Process
from batchpools.testing.simulation.node_acts import ask_node, disable_node
from batchpools.testing.simulation.operators import OPERATOR_NAMESPACE
from batchpools.testing.simulation.package_acts import PACKAGE_ACTS
from batchpools.testing.simulation.pool_acts import POOL_ACTS
from batchpools.testing.simulation.schedule_acts import SCHEDULE_ACTS
from batchpools.testing.simulation.stage import Act, Stage, ask
from batchpools.testing.simulation.workload import NAMESPACE

RUNNER_PAUSE = 8.0  # less than the margin of the dead-man timer: no timer can help beyond it (docs/safety.md)


# ---------------------------------------------------------------- the operator


def _crash_operator(stage: Stage, act: Act) -> bool:
    operator = stage.operator(act)
    if operator is None:
        return False
    operator.crash()
    stage.later(act.seconds, lambda: None if operator.lives else operator.start())
    return True


def _stop_operator(stage: Stage, act: Act) -> bool:
    operator = stage.operator(act)
    if operator is None:
        return False
    process = operator.process
    operator.stop()

    def replaced() -> None:
        if operator.process is process:
            operator.crash()  # should it still be at it: its grace is over
            operator.start()

    stage.later(act.seconds + 1.0, replaced)
    return True


def _pause_operator(stage: Stage, act: Act) -> bool:
    operator = stage.operator(act)
    return operator is not None and _pause(stage, operator.process, act.seconds)


def _step_clock(stage: Stage, act: Act) -> bool:
    step = (-3600.0, -30.0, 30.0, 86400.0)[act.flavour % 4]
    operator = stage.operator(act)
    pod = stage.pod(act)
    if act.flavour >= 4 and pod is not None:
        pod.clock.skew += step
    elif operator is not None:
        operator.clock.skew += step
    return True


def _delete_lease(stage: Stage, _: Act) -> bool:
    return _remove(stage, LEASES, OPERATOR_NAMESPACE, names.LEASE_NAME)


def _delete_barrier(stage: Stage, act: Act) -> bool:
    resource = (POOLS, POOL_NODES, JOBS, TASKS)[act.flavour % 4]
    return _remove(stage, resource, OPERATOR_NAMESPACE, "batchpools-barrier")


# ---------------------------------------------------------------- the API server and the way to it


def _cut_api(stage: Stage, act: Act) -> bool:
    operator = stage.operator(act)
    if operator is None:
        return False
    weather = operator.weather
    weather.set_cut(True)
    stage.later(act.seconds, lambda: weather.set_cut(False))
    return True


def _api_errors(stage: Stage, act: Act) -> bool:
    weathers = [one.weather for one in stage.world.operators]
    for one in weathers:
        one.refuse, one.lose = (0.4, 0.0) if act.flavour % 2 else (0.1, 0.4)

    def heal() -> None:
        for one in weathers:
            one.refuse = one.lose = 0.0

    stage.later(act.seconds, heal)
    return True


def _slow_watch(stage: Stage, act: Act) -> bool:
    operator = stage.operator(act)
    if operator is None:
        return False
    weather = operator.weather
    weather.watch_delay = act.seconds

    def heal() -> None:
        weather.watch_delay = 0.004

    stage.later(act.seconds, heal)
    return True


def _end_watches(stage: Stage, act: Act) -> bool:
    kube = stage.world.kube
    if act.flavour % 2:
        kube.compact()
    kube.end_watches(gone=act.flavour % 4 == 3)
    return True


def _bookmarks(stage: Stage, _: Act) -> bool:
    for resource in (POOLS, POOL_NODES, JOBS, TASKS, PODS):
        stage.world.kube.bookmark(resource)
    return True


# ---------------------------------------------------------------- nodes


def _kill_agent(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    if pod is None or not pod.agent_lives:
        return False
    pod.kill_agent()
    return True


def _pause_agent(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    return pod is not None and pod.agent is not None and _pause(stage, pod.agent, act.seconds)


def _kill_container(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    if pod is None:
        return False
    container = pod.containers[act.flavour % len(pod.containers)]
    if not container.lives:
        return False
    container.kill()
    return True


def _pause_runner(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    runner = pod.containers[act.flavour % len(pod.containers)].runner if pod is not None else None
    return runner is not None and _pause(stage, runner.process, min(act.seconds, RUNNER_PAUSE))


def _evict_pod(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    if pod is None or pod.stopping:
        return False
    stage.world.kubelets.evict(pod)
    return True


def _delete_pod(stage: Stage, act: Act) -> bool:
    """flavour 0: with its grace; 1: by force; 2: by force, and its finalizer is taken away too."""
    item = stage.found(PODS, act)
    if item is None:
        return False
    if act.flavour % 3 == 2:
        return _remove(stage, PODS, NAMESPACE, item["metadata"]["name"])
    return stage.delete(PODS, item, grace=0 if act.flavour % 3 else None)


def _lose_pod(stage: Stage, act: Act) -> bool:
    """The pod garbage collector gives up a pod of a machine that is not heard of, while its processes go on."""
    pod = stage.pod(act)
    machine = next((one for one in stage.world.kubelets.machines if pod is not None and pod.uid in one.pods), None)
    item = None if pod is None else stage.world.kube.object(PODS, pod.namespace, pod.name)
    if pod is None or machine is None or item is None or item["metadata"]["uid"] != pod.uid:
        return False
    _cut(stage, machine, act.seconds)
    stage.world.kube.set_status(PODS, pod.namespace, pod.name, phase="Failed", reason="NodeLost")
    return stage.delete(PODS, item, grace=0)


def _cut_machine(stage: Stage, act: Act) -> bool:
    machines = stage.world.kubelets.machines
    _cut(stage, machines[act.target % len(machines)], act.seconds)
    return True


# ---------------------------------------------------------------- the link


def _cut_link(stage: Stage, act: Act) -> bool:
    """flavour: which direction (0 up, 1 down, 2 both), and from 3 on to one replica alone."""
    pod = stage.pod(act)
    if pod is None:
        return False
    ways = stage.world.link.ways_of(pod.uid)
    if act.flavour >= 3:
        ways = [ways[act.target % len(ways)]]
    for way in ways:
        way.cut(up=act.flavour % 3 != 1, down=act.flavour % 3 != 0)

    def heal() -> None:
        for way in ways:
            way.cut(up=False, down=False)

    stage.later(act.seconds, heal)
    return True


def _slow_link(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    if pod is None:
        return False
    ways = stage.world.link.ways_of(pod.uid)
    before = [way.delay for way in ways]
    for way in ways:
        way.delay = min(act.seconds / 4, 3.0)

    def heal() -> None:
        for way, delay in zip(ways, before, strict=True):
            way.delay = delay

    stage.later(act.seconds, heal)
    return True


def _reset_link(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    if pod is None:
        return False
    stage.world.link.reset(pod.uid)
    return True


def _duplicate(stage: Stage, act: Act) -> bool:
    pod = stage.pod(act)
    if pod is None:
        return False
    stage.world.link.duplicate(pod.uid, 1 + act.flavour)
    return True


# ---------------------------------------------------------------- users


def _recreate_task(stage: Stage, act: Act) -> bool:
    """Delete a task of one's own and make another of that name."""
    tasks = [one for one in stage.world.kube.objects(TASKS, NAMESPACE) if one["spec"]["jobName"] == workload.LOOSE]
    if not tasks:
        return False
    item = tasks[act.target % len(tasks)]
    fresh = workload.loose_task(int(item["spec"]["id"][1:]), stage.size, Random(act.flavour + act.target))  # noqa: S311
    stage.delete(TASKS, item)

    def again() -> None:
        if not stage.is_over:
            _create(stage, TASKS, fresh)

    stage.later(act.seconds / 10, again)
    return True


def _delete_task(stage: Stage, act: Act) -> bool:
    item = stage.found(TASKS, act)
    return item is not None and stage.delete(TASKS, item)


def _recreate_job(stage: Stage, act: Act) -> bool:
    """Delete the job with inline tasks and apply it again."""
    item = stage.world.kube.object(JOBS, NAMESPACE, workload.INLINE)
    if item is None or "deletionTimestamp" in item["metadata"]:
        return False
    stage.delete(JOBS, item)
    fresh = workload.inline_job(stage.size, Random(act.flavour + act.target), stage.manager)  # noqa: S311
    _until_created(stage, JOBS, fresh)
    return True


def _add_task(stage: Stage, act: Act) -> bool:
    number = 100 + act.target
    return _create(stage, TASKS, workload.loose_task(number, stage.size, Random(act.flavour + act.target)))  # noqa: S311


ACTS: dict[str, Callable[[Stage, Act], bool]] = {
    "crash-operator": _crash_operator,
    "stop-operator": _stop_operator,
    "pause-operator": _pause_operator,
    "step-clock": _step_clock,
    "delete-lease": _delete_lease,
    "delete-barrier": _delete_barrier,
    "cut-api": _cut_api,
    "api-errors": _api_errors,
    "slow-watch": _slow_watch,
    "end-watches": _end_watches,
    "bookmarks": _bookmarks,
    "kill-agent": _kill_agent,
    "pause-agent": _pause_agent,
    "kill-container": _kill_container,
    "pause-runner": _pause_runner,
    "evict-pod": _evict_pod,
    "delete-pod": _delete_pod,
    "lose-pod": _lose_pod,
    "cut-machine": _cut_machine,
    "cut-link": _cut_link,
    "slow-link": _slow_link,
    "reset-link": _reset_link,
    "duplicate": _duplicate,
    "recreate-task": _recreate_task,
    "delete-task": _delete_task,
    "recreate-job": _recreate_job,
    "add-task": _add_task,
    "disable-node": disable_node,
    "ask-node": ask_node,
    **POOL_ACTS,
}


def perform(stage: Stage, act: Act) -> None:
    """Let it happen, if there is something for it to happen to."""
    stage.note_act(act, (ACTS | SCHEDULE_ACTS | PACKAGE_ACTS)[act.kind](stage, act))


# ---------------------------------------------------------------- inside


def _pause(stage: Stage, process: Process, seconds: float) -> bool:
    if process.dead or process.paused:
        return False
    process.paused = True

    def resume() -> None:
        process.paused = False

    stage.later(seconds, resume)
    return True


def _cut(stage: Stage, machine: Machine, seconds: float) -> None:
    kubelets, link = stage.world.kubelets, stage.world.link
    ways = [way for pod in machine.pods.values() for way in link.ways_of(pod.uid)]
    kubelets.set_cut(machine, True)
    for way in ways:
        way.cut(up=True, down=True)

    def heal() -> None:
        kubelets.set_cut(machine, False)
        for way in ways:
            way.cut(up=False, down=False)

    stage.later(seconds, heal)


def _create(stage: Stage, resource: Resource, manifest: Object) -> bool:
    ask(stage, lambda: stage.world.kube.create(resource, NAMESPACE, manifest))
    return True


def _until_created(stage: Stage, resource: Resource, manifest: Object) -> None:
    """Create as soon as the former one is gone."""
    if stage.is_over:
        return
    if stage.world.kube.object(resource, NAMESPACE, manifest["metadata"]["name"]) is not None:
        stage.later(0.25, lambda: _until_created(stage, resource, manifest))
    else:
        _create(stage, resource, manifest)


def _remove(stage: Stage, resource: Resource, namespace: str, name: str) -> bool:
    if stage.world.kube.object(resource, namespace, name) is None:
        return False
    stage.world.kube.remove(resource, namespace, name)
    return True


def delete_everything(stage: Stage) -> None:
    """What a user does in the end; jobs that have an owner go with it."""
    stage.is_over = True
    for resource in (JOB_SCHEDULES, JOBS, POOLS, APPLICATION_PACKAGES):
        for item in stage.world.kube.objects(resource, NAMESPACE):
            if not item["metadata"].get("ownerReferences"):
                stage.delete(resource, item)
