"""Each fault: what is done to whom, and whose runs it may cost. They run in the order of `FAULTS`, each under a load of its own."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from e2e.cluster.processes import in_network_of
from e2e.faults.history import Fault, boottime
from e2e.faults.scene import LEASE, UNREACHABLE, Scene, fault
from e2e.stories import until

_SHORT_CUT = 5.0  # seconds: well below T, for packets that were lost come again later and later
_LONG_CUT = UNREACHABLE + 5.0
_BOTH = ("INPUT", "OUTPUT")
_DIED = "NodeLost NodeStopped ContainerLost OutOfMemory"

Inject = Callable[[Scene], list[Fault]]


def leader_killed(scene: Scene) -> list[Fault]:
    """SIGKILL: nothing is given back."""
    began, former = boottime(), scene.operator.holder()
    os.kill(scene.leader_process(), signal.SIGKILL)
    _wait_for_another_leader(scene, former)
    return [fault("leader killed", began)]


def leader_stopped_and_woken(scene: Scene) -> list[Fault]:
    """SIGSTOP for longer than its Lease, then SIGCONT: a leader wakes up after another was elected."""
    began, former, process = boottime(), scene.operator.holder(), scene.leader_process()
    os.kill(process, signal.SIGSTOP)
    try:
        time.sleep(LEASE + 5)
        _wait_for_another_leader(scene, former)
    finally:
        os.kill(process, signal.SIGCONT)
    return [fault("leader stopped, woken after another was elected", began)]


def agent_killed(scene: Scene) -> list[Fault]:
    """Tasks go on under the runner."""
    began, (_, uid) = boottime(), scene.pods()[0]
    os.kill(scene.agent_process(uid), signal.SIGKILL)
    return [fault("agent killed", began)]


def task_container_killed(scene: Scene) -> list[Fault]:
    """SIGKILL of its PID 1: the kernel ends every task in it, as where a whole container is killed for memory."""
    began, (_, uid) = boottime(), scene.pods()[1]
    os.kill(scene.runner_process(uid), signal.SIGKILL)
    return [fault("task container killed", began, uid, reasons=_DIED)]


def out_of_memory(scene: Scene) -> list[Fault]:
    """Two tasks of the load take memory until they are killed; their neighbours go on."""
    began = boottime()
    hogs = [one for one in scene.waves[-1].expected if one.is_killed]
    until(lambda: all(one.uid in scene.watch.over for one in hogs), "the tasks that take all memory have ended")
    return [fault("out of memory by one of four tasks", began) for _ in hogs]


def pod_deleted(scene: Scene) -> list[Fault]:
    """kubectl delete pod."""
    began, (name, uid) = boottime(), scene.pods()[0]
    scene.space.kubectl("delete", "pod", name, "--wait=false")
    _wait_for_another_pod(scene, uid)
    return [fault("node pod deleted", began, uid, reasons=_DIED)]


def pod_deleted_by_force(scene: Scene) -> list[Fault]:
    """kubectl delete pod --force --grace-period=0: the object tells nothing of whether its containers live."""
    began, (name, uid) = boottime(), scene.pods()[1]
    scene.space.kubectl("delete", "pod", name, "--force", "--grace-period=0", "--wait=false")
    _wait_for_another_pod(scene, uid)
    return [fault("node pod deleted by force", began, uid, reasons=_DIED)]


def links_cut_shortly(scene: Scene) -> list[Fault]:
    """Shorter than T: no task is disturbed."""
    uids = [uid for _, uid in scene.pods()]
    began = boottime()
    with _cut(scene, uids[0], *_BOTH), _cut(scene, uids[1], "OUTPUT"), _cut(scene, uids[2], "INPUT"):
        time.sleep(_SHORT_CUT)
    kinds = ("both ways", "only out", "only in")
    return [fault(f"link cut {kind}, shorter than T", began) for kind in kinds]


def links_cut_both_ways_and_out(scene: Scene) -> list[Fault]:
    """Longer than T: the nodes end their tasks, and these run elsewhere once the leader knows that they are dead."""
    first, second, _ = (uid for _, uid in scene.pods())
    began = boottime()
    with _cut(scene, first, *_BOTH), _cut(scene, second, "OUTPUT"):
        time.sleep(_LONG_CUT)
    return [
        fault("link cut both ways, longer than T", began, first, reasons="NodeUnreachable NodeLost"),
        fault("link cut only out, longer than T", began, second, reasons="NodeUnreachable NodeLost"),
    ]


def link_cut_in(scene: Scene) -> list[Fault]:
    """The node hears nobody; what it says is heard."""
    began, (_, uid) = boottime(), scene.pods()[2]
    with _cut(scene, uid, "INPUT"):
        time.sleep(_LONG_CUT)
    return [fault("link cut only in, longer than T", began, uid, reasons="NodeUnreachable NodeLost")]


def api_server_killed(scene: Scene) -> list[Fault]:
    """Killed and started again at once; it takes some seconds, and leaders lose their Lease."""
    began = boottime()
    with scene.operator.without_api_server():
        pass
    return [fault("API server killed and restarted", began)]


def etcd_killed(scene: Scene) -> list[Fault]:
    """Killed and started again; its data is still there."""
    began = boottime()
    with scene.operator.without_etcd():
        pass
    return [fault("etcd killed and restarted", began)]


FAULTS: list[Inject] = [
    leader_killed, leader_stopped_and_woken, agent_killed, task_container_killed, out_of_memory, pod_deleted,
    pod_deleted_by_force, links_cut_shortly, links_cut_both_ways_and_out, link_cut_in, api_server_killed, etcd_killed,
]  # fmt: skip


def _wait_for_another_leader(scene: Scene, former: str) -> None:
    until(lambda: scene.operator.holder() not in {"", former}, "another replica leads")


def _wait_for_another_pod(scene: Scene, former: str) -> None:
    until(lambda: former not in {uid for _, uid in scene.pods()}, "the node has another pod")


@contextmanager
def _cut(scene: Scene, pod_uid: str, *chains: str) -> Iterator[None]:
    """Packets of a pod are dropped in here, in silence: INPUT those that come, OUTPUT those that go."""
    process = scene.agent_process(pod_uid)
    flag, others = ("!", "-i", "lo"), ("!", "-o", "lo")
    rules = [(chain, *(flag if chain == "INPUT" else others), "-j", "DROP") for chain in chains]
    for rule in rules:
        in_network_of(process, "iptables", "-w", "-A", *rule)
    try:
        yield
    finally:
        for rule in rules:
            in_network_of(process, "iptables", "-w", "-D", *rule)
