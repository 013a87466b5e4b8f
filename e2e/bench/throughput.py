"""`make bench`: a thousand `/bin/true` Task objects on two nodes; prints tasks per second and API writes per task."""

import sys
import time

from e2e.cluster import choose
from e2e.fast_create import create_tasks
from e2e.operator_install import Installation
from e2e.stories import Namespace, job, pool, task

TASKS = 1000


def main() -> int:
    """Run it and print."""
    installation = Installation(choose.choose())
    installation.install()
    space = Namespace("bench", installation.kubeconfig, installation.kubectl_program)
    space.kubectl("create", "namespace", "bench")
    try:
        seconds, writes = measure(installation, space, TASKS)
    finally:
        space.kubectl("delete", "bjob,bpool", "--all", "--wait=true", "--timeout=300s")
        space.kubectl("delete", "namespace", "bench", "--wait=false")
    print(f"{TASKS} x /bin/true on 2 nodes with 4 slots each, from the first create to the last Finished:")
    print(f"  {seconds:.1f} s, {TASKS / seconds:.0f} tasks/s, {writes / TASKS:.3f} API writes a task")
    return 0


def measure(installation: Installation, space: Namespace, tasks: int) -> tuple[float, float]:
    """(seconds, API writes) from before the first create to the last Finished."""
    space.apply(pool("bench", nodes=2, slots=4))
    space.ready_pool("bench", 2)
    space.apply(job("many", pool_name="bench", onAllTasksComplete="NoAction"))
    before, began = installation.writes(), time.monotonic()
    create_tasks(space, [task("many", f"t{number}", command=["/bin/true"]) for number in range(tasks)])
    # The end of a job is written at once, its counters only every 5 s.
    space.kubectl("patch", "bjob", "many", "--type=merge", "-p", '{"spec": {"onAllTasksComplete": "TerminateJob"}}')
    counts = space.finished("bjob", "many", 300)["taskCounts"]
    seconds = time.monotonic() - began
    assert counts["succeeded"] == tasks, counts
    ends = [one["status"].get("endTime", "") for one in space.every("btask")]
    assert len(ends) == tasks
    return seconds, installation.writes() - before


if __name__ == "__main__":
    sys.exit(main())
