"""Stories of jobs and tasks: order, slots, output, retries, limits, deletion."""

import itertools

from e2e.stories import Namespace, job, pool, sh, task, until


def test_a_job_of_higher_priority_runs_first_and_running_tasks_are_not_disturbed(space: Namespace) -> None:
    mark = "echo $AZ_BATCH_JOB_ID >> $AZ_BATCH_NODE_SHARED_DIR/order"
    space.apply(
        pool(), job("blocker", [sh("one", f"{mark}; while ! test -e $AZ_BATCH_NODE_SHARED_DIR/go; do sleep 0.1; done")])
    )
    space.wait_for("btask", "blocker.one", lambda status: status["state"] == "Running")
    space.apply(job("low", [sh(str(n), mark) for n in range(3)], priority=-10))
    space.apply(job("high", [sh(str(n), mark) for n in range(3)], priority=10))
    until(lambda: len(space.every("btask")) == 7, "all tasks are there")
    pod = space.status("bnode", "demo-0000")["podName"]
    space.kubectl("exec", pod, "-c", "task", "--", "touch", "/mnt/batch/shared/go")

    for name in ("blocker", "high", "low"):
        assert space.finished("bjob", name)["result"] == "Success"
    order = space.kubectl("exec", pod, "-c", "task", "--", "cat", "/mnt/batch/shared/order").split()
    assert order == ["blocker"] + ["high"] * 3 + ["low"] * 3


def test_slots_are_never_exceeded(space: Namespace) -> None:
    script = (
        "import os, pathlib, time; d = pathlib.Path(os.environ['AZ_BATCH_NODE_SHARED_DIR'], 'live'); d.mkdir(exist_ok=True);"
        "me = d / os.environ['AZ_BATCH_TASK_ID']; slots = int(os.environ['SLOTS']); me.write_text(str(slots));"
        "time.sleep(0.3); texts = [p.read_text() for p in d.iterdir()]; me.unlink();"
        "print(sum(int(t) for t in texts if t))"
    )
    weights = list(itertools.islice(itertools.cycle([1, 2, 3]), 18))
    tasks = [
        {
            "id": f"t{n}",
            "command": ["python3", "-c", script],
            "requiredSlots": weight,
            "env": [{"name": "SLOTS", "value": str(weight)}],
        }
        for n, weight in enumerate(weights)
    ]
    space.apply(pool(slots=4), job("weighted", tasks))

    done = space.finished("bjob", "weighted")
    assert (done["result"], done["taskCounts"]["succeeded"]) == ("Success", 18)
    seen = [int(space.output(f"weighted/t{n}")) for n in range(18)]
    assert max(seen) <= 4
    assert max(seen) > 1


def test_spread_uses_every_node_and_pack_fills_one(space: Namespace) -> None:
    pack = {"taskSchedulingPolicy": {"nodeFillType": "Pack"}}
    space.apply(pool("spread", nodes=2, slots=2), pool("pack", nodes=2, slots=2, **pack))
    space.ready_pool("spread", 2)
    space.ready_pool("pack", 2)

    def where(name: str, tasks: str) -> set[str]:
        """The nodes of these tasks while all of them run: none ends by itself, so they were placed beside each other."""
        for one in tasks:
            space.wait_for("btask", f"{name}.{one}", lambda status: status.get("state") == "Running")
        return {space.status("btask", f"{name}.{one}")["poolNodeName"] for one in tasks}

    four = [sh(one, "sleep 300") for one in "abcd"]
    space.apply(job("all", four, pool_name="spread"), job("every", four, pool_name="pack"))
    for full in ("all", "every"):  # a node takes its first task up to a renewal of the Lease after it is shown as Idle
        assert len(where(full, "abcd")) == 2
    space.kubectl("delete", "bjob", "all", "every")
    space.apply(job("wide", four[:2], pool_name="spread"), job("tight", four[:2], pool_name="pack"))
    assert len(where("wide", "ab")) == 2
    assert len(where("tight", "ab")) == 1


def test_output_and_exit_code_are_read_through_the_cli(space: Namespace) -> None:
    tasks = [sh("talk", "echo out; echo err >&2; pwd; echo $HOME; exit 7")]
    space.apply(pool(), job("talk", tasks))

    status = space.finished("btask", "talk.talk")
    assert (status["result"], status["exitCode"]) == ("Failure", 7)
    assert status["failureInfo"]["code"] == "FailureExitCode"
    wd = "/mnt/batch/workitems/talk/talk/wd"
    assert space.output("talk/talk") == f"out\n{wd}\n{wd}\n"
    assert space.output("talk/talk", "--stderr") == "err\n"


def test_a_followed_log_ends_with_its_task(space: Namespace) -> None:
    space.apply(pool(), job("chat", [sh("slow", "for n in 1 2 3 4; do echo line $n; sleep 1; done")]))
    space.wait_for("btask", "chat.slow", lambda status: status["state"] in {"Running", "Completed"})

    assert space.output("chat/slow", "--follow") == "line 1\nline 2\nline 3\nline 4\n"


def test_a_failing_task_is_retried_as_often_as_asked_in_the_same_directory(space: Namespace) -> None:
    script = "echo try >> tries; wc -l < tries; exit 1"
    tasks = [sh("thrice", script, constraints={"maxTaskRetryCount": 3}), sh("once", script)]
    space.apply(pool(), job("retry", tasks))

    done = space.finished("bjob", "retry")
    assert (done["result"], done["taskCounts"]["failed"]) == ("Failure", 2)
    assert space.status("btask", "retry.thrice")["retryCount"] == 3
    assert space.output("retry/thrice").split() == ["4"]
    assert space.status("btask", "retry.once").get("retryCount", 0) == 0
    assert space.output("retry/once").split() == ["1"]


def test_a_task_that_outlives_its_wall_clock_is_ended_with_azures_exit_code(space: Namespace) -> None:
    limits = {"maxWallClockTime": "1s", "maxTaskRetryCount": 5}
    space.apply(pool(), job("late", [sh("late", "trap '' TERM; while :; do sleep 1; done", constraints=limits)]))

    status = space.finished("btask", "late.late")
    assert (status["exitCode"], status["failureInfo"]["code"]) == (3221225786, "TaskEnded")
    assert status["failureInfo"]["category"] == "ServerError"
    assert status.get("retryCount", 0) == 0


def test_a_careless_task_leaves_nothing_running(space: Namespace) -> None:
    script = "sleep 999 & setsid sleep 998 & (setsid sh -c 'sleep 997 &') & yes | head -c 30000000; exit 0"
    space.apply(pool(), job("messy", [sh("messy", script)]))

    assert space.finished("bjob", "messy")["result"] == "Success"
    pod = space.status("bnode", "demo-0000")["podName"]
    assert space.processes(pod, "sleep") == []


def test_a_task_killed_for_memory_reports_exit_code_137(space: Namespace) -> None:
    small = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "64Mi"}}
    hog = {"id": "hog", "command": ["python3", "-c", "b = bytearray(200 << 20); print(len(b))"]}
    space.apply(pool(resources=small), job("big", [hog]))

    status = space.finished("btask", "big.hog")
    assert (status["result"], status["exitCode"]) == ("Failure", 137)


def test_a_missing_program_and_a_task_of_an_unknown_job_say_so(space: Namespace) -> None:
    space.apply(
        pool(), job("typo", [{"id": "typo", "command": ["no-such-program"]}]), task("nobody", "one", command=["true"])
    )

    status = space.finished("btask", "typo.typo")
    assert status["failureInfo"]["code"] == "CommandProgramNotFound"
    assert "no-such-program" in status["failureInfo"]["message"]
    explained = space.batch("explain", "nobody.one").stdout
    assert "JobNotFound" in explained


def test_a_job_on_a_missing_pool_waits_and_runs_once_the_pool_appears(space: Namespace) -> None:
    space.apply(job("patient", [sh("one", "true")], pool_name="later"))
    told = space.wait_for(
        "bjob", "patient", lambda status: any(c["reason"] == "PoolNotFound" for c in status["conditions"])
    )
    assert told["state"] == "Active"
    assert "PoolNotFound" in space.batch("explain", "patient/one").stdout

    space.apply(pool("later"))
    assert space.finished("bjob", "patient")["result"] == "Success"


def test_deleting_a_task_or_a_job_ends_what_runs(space: Namespace) -> None:
    space.apply(pool(slots=2), job("gone", [sh("a", "sleep 555"), sh("b", "sleep 556")]))
    for one in "ab":
        space.wait_for("btask", f"gone.{one}", lambda status: status["state"] == "Running")
    pod = space.status("bnode", "demo-0000")["podName"]

    space.kubectl("delete", "btask", "gone.a")
    until(lambda: space.processes(pod, "sleep") == ["sleep 556"], "the deleted task's process is gone")
    space.kubectl("delete", "bjob", "gone", "--wait=true", "--timeout=60s")
    assert space.processes(pod, "sleep") == []
    assert space.every("btask") == []


def test_kubectl_wait_sees_the_end_of_a_job(space: Namespace) -> None:
    space.apply(pool(), job("quick", [sh("one", "true")]))
    space.kubectl("wait", "--for=condition=Finished", "bjob/quick", "--timeout=60s")
    done = space.batch("wait", "quick")
    assert done.returncode == 0
