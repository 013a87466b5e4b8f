"""`make bench-failover`: seconds without a dispatch when the leader crashes or leaves, with 2,000 tasks that run or wait.

Half of the tasks run all through it, the others wait or come and go in the slots that are left. A run's execution id tells the
epoch of the leader that sent it, and its own line when it began: the first line of the next epoch ends the pause.
"""

import json
import os
import signal
import sys
from collections import Counter
from dataclasses import dataclass

from e2e.cluster import choose
from e2e.cluster.local import LocalCluster
from e2e.cluster.processes import PodProcesses
from e2e.fast_create import create_tasks
from e2e.faults.history import TELL, Run, boottime, read_runs
from e2e.faults.witnesses import Machine
from e2e.operator_install import Installation
from e2e.stories import Manifest, Namespace, job, pool, task, until

NODES = 4
LONG, SHORT = 1000, 1000
_FREE = 8  # slots in which the short tasks run, some 16 a second: they are created faster, and so most of them wait


@dataclass(frozen=True, slots=True)
class Pause:
    """What one failover cost: seconds from the kill until another led, and until a run of its own began."""

    how: str
    led: float
    dispatched: float


class Failover:
    """An operator with nodes full of tasks, whose leader can be ended. Only where its processes are on this machine."""

    def __init__(self, operator: Installation, name: str = "failover") -> None:
        assert isinstance(operator.cluster, LocalCluster), "the operator's processes have to be on this machine"
        self._operator = operator
        self._processes = PodProcesses(operator.cluster.at)
        # seldom: a look at 1,000 processes is work that the measured ones wait for
        self._machine = Machine(operator.cluster, every=2.0)
        self._space = Namespace(name, operator.kubeconfig, operator.kubectl_program)
        self._short = 0  # created so far
        self._uids: set[str] = set()

    def begin(self, long: int = LONG) -> None:
        """Nodes, and the tasks that run all through it."""
        self._machine.start()
        self._space.kubectl("create", "namespace", self._space.name)
        self._space.apply(pool("demo", nodes=NODES, slots=(long + _FREE) // NODES))
        self._space.apply(job("long", onAllTasksComplete="NoAction"), job("short", onAllTasksComplete="NoAction"))
        self._space.ready_pool("demo", NODES)
        made = create_tasks(self._space, [_task("long", f"t{number}", "exec sleep 3000") for number in range(long)])
        self._uids = {one["metadata"]["uid"] for one in made}
        until(lambda: len(self._runs()) >= long, "the long tasks run", 180)

    def end(self) -> None:
        """Everything goes."""
        self._machine.stop()
        self._space.kubectl("delete", "bjob,bpool", "--all", "--wait=false")
        self._space.kubectl("delete", "namespace", self._space.name, "--wait=false")

    def crash(self, short: int = SHORT) -> Pause:
        """SIGKILL of the leading process: its Lease has to run out."""
        return self._measure("crash", signal.SIGKILL, short)

    def leave(self, short: int = SHORT) -> Pause:
        """SIGTERM to the leading process, as a rollout sends it: it gives its Lease back."""
        return self._measure("graceful", signal.SIGTERM, short)

    def disturbed(self) -> list[str]:
        """What was begun more than once, or says that it was; empty as it should be."""
        begun = Counter(run.execution.task_uid for run in self._runs())
        again = [one["metadata"]["name"] for one in self._space.every("btask") if one["status"].get("requeueCount")]
        return again + [uid for uid, number in begun.items() if number > 1]

    def running(self) -> int:
        """How many of the long tasks have a process."""
        return sum(one.partition(":")[0] in self._uids for one in self._machine.alive())

    # ---------------------------------------------------------------- inside

    def _measure(self, how: str, number: signal.Signals, short: int) -> Pause:
        self._operator.kubectl("rollout", "status", "deployment/batchpools", "--timeout=120s")
        begun = self._short_begun()
        missing = range(self._short, begun + short)
        self._short += len(missing)
        create_tasks(self._space, [_task("short", f"s{number}", "sleep 0.5") for number in missing])
        until(lambda: self._short_begun() > begun, "short tasks run")
        former, epoch, process = self._operator.holder(), self._epoch(), self._leader_process()
        began = boottime()
        os.kill(process, number)
        until(lambda: self._operator.holder() not in {"", former}, "another replica leads")
        led = boottime() - began
        until(lambda: self._first_after(epoch, began), "the next leader dispatches")
        return Pause(how, led, self._first_after(epoch, began) - began)

    def _short_begun(self) -> int:
        return sum(run.execution.task_uid not in self._uids for run in self._runs())

    def _runs(self) -> list[Run]:
        return read_runs(self._machine.files(), {})[0]

    def _first_after(self, epoch: int, moment: float) -> float:
        """When the first run of a later epoch began after that moment; 0 when there is none yet."""
        later = (run.began for run in self._runs() if run.execution.epoch > epoch and run.began > moment)
        return min(later, default=0.0)

    def _epoch(self) -> int:
        lease = json.loads(self._operator.kubectl("get", "lease", "batchpools-operator", "-o", "json"))
        return int(lease["spec"]["leaseTransitions"])

    def _leader_process(self) -> int:
        shown = json.loads(self._operator.kubectl("get", "pod", self._operator.leader(), "-o", "json"))
        return self._processes.find(shown["metadata"]["uid"], "-m", "batchpools", "operator")


def main() -> int:
    """Both ways to go, with the chart's Lease and with a short one."""
    for fast, lease in ((False, 15), (True, 6)):
        operator = Installation(choose.choose(), fast=fast)
        operator.install()
        failover = Failover(operator, f"failover-{lease}")
        try:
            failover.begin()
            pauses = [failover.crash(), failover.leave()]
            print(told(pauses, f"a Lease of {lease} s"))
            print(f"  {failover.running()} of {LONG} long tasks run on, begun again: {len(failover.disturbed())}")
        finally:
            failover.end()
    return 0


def told(pauses: list[Pause], lease: str) -> str:
    """Pauses as lines to print."""
    lines = [f"failover with {LONG + SHORT} running and waiting tasks and {lease}:"]
    lines += [
        f"  {one.how}: {one.led:.2f} s until another led, {one.dispatched:.2f} s until the next task began"
        for one in pauses
    ]
    return "\n".join(lines)


def _task(name: str, task_id: str, script: str) -> Manifest:
    return task(name, task_id, command=["sh", "-c", f"{TELL}tell start; {script}"])


if __name__ == "__main__":
    sys.exit(main())
