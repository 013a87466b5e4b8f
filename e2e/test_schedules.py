"""Stories of job schedules: jobs made one after the other, in a pool that they share."""

from datetime import UTC, datetime

from e2e.stories import Manifest, Namespace, pool, sh, until

RELEASED = "$AZ_BATCH_NODE_SHARED_DIR/released"


def test_a_schedule_makes_one_job_after_the_other_in_a_pool_of_its_own_and_takes_all_along(space: Namespace) -> None:
    own = {"poolLifetime": "JobSchedule", "template": pool()["spec"]}
    space.apply(_schedule("tick", "2s", autoPool=own))

    told = space.wait_for("bjs", "tick", lambda status: status.get("activeJob") == "tick-1")
    space.wait_for("btask", "tick-1.hold", lambda status: status["state"] == "Running")
    due = datetime.fromisoformat(told["nextRunTime"])
    until(lambda: (datetime.now(UTC) - due).total_seconds() > 4, "two turns have passed")
    assert [job["metadata"]["name"] for job in space.every("bjob")] == ["tick-1"]

    _release(space)
    assert space.finished("bjob", "tick-1")["result"] == "Success"
    space.wait_for("bjs", "tick", lambda status: status["jobsCreated"] >= 3)
    space.kubectl("patch", "bjs", "tick", "--type=merge", "-p", '{"spec":{"suspend":true}}')
    told = space.wait_for("bjs", "tick", lambda status: status["state"] == "Disabled" and not status["activeJob"])
    assert space.output(f"{told['recentJob']}/hold") == f"{told['recentJob']}\n"
    jobs = space.every("bjob", "-l", "batchpools.dev/job-schedule=tick")
    assert {job["status"]["state"] for job in jobs} == {"Completed"}
    assert len(jobs) <= 4, "3 are kept, and one may be on its way"
    assert "every 2s" in space.batch("get", "schedules").stdout
    (shared,) = space.every("bpool")
    assert {job["status"]["poolName"] for job in jobs} == {shared["metadata"]["name"]}

    space.kubectl("delete", "bjs", "tick", "--wait=true", "--timeout=60s")
    until(lambda: not space.every("bjob,bpool,bnode"), "jobs, pool and node go with it")


def _schedule(name: str, interval: str, **job: object) -> Manifest:
    """Jobs of one task, which waits until somebody has looked."""
    hold = sh("hold", f"until [ -e {RELEASED} ]; do sleep 0.1; done; echo $AZ_BATCH_JOB_ID")
    return {
        "apiVersion": "batchpools.dev/v1beta1",
        "kind": "JobSchedule",
        "metadata": {"name": name},
        "spec": {"schedule": {"recurrenceInterval": interval}, "jobTemplate": {"spec": {**job, "tasks": [hold]}}},
    }


def _release(space: Namespace) -> None:
    (pod,) = space.every("pods")
    space.kubectl("exec", pod["metadata"]["name"], "-c", "task", "--", "sh", "-c", "touch /mnt/batch/shared/released")
