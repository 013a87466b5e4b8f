"""The start task over the whole link, in an init container and inside the task container; and the restart of them all."""

from collections.abc import Sequence

from tests.agent.runners import connect
from tests.link.house import POD, House, until

from batchpools.api.names import RESTART_EXIT_CODE
from batchpools.core.node_config import StartTaskConfig
from batchpools.link import messages as link
from batchpools.link.words import NodePhase


async def begin(house: House, command: str | list[str], env: Sequence[str] = (), retries: int = 0) -> None:
    """A node with a start task, a shell script or an argv; its task container is not there yet."""
    argv = ["sh", "-c", command] if isinstance(command, str) else command
    house.start_task = StartTaskConfig(argv, [f"ROOT={house.start_runner.root}", *env], retries)
    await house.replica.start()
    house.replica.lead(1)
    await house.start_runner.start("start-task")
    house.start_agent()


def told(house: House) -> list[link.StartTaskReport]:
    """What was said of the start task."""
    return [report.start_task for report in house.leader.of(link.NodeReport) if report.start_task is not None]


async def test_a_start_task_that_succeeds_lets_the_node_become_ready(house: House) -> None:
    await begin(house, 'echo "$AZ_BATCH_NODE_ID $AZ_BATCH_TASK_WORKING_DIR" > "$ROOT/shared/out"')
    assert await house.start_runner.has_left()
    await house.runner.start()
    await until(house.is_ready)
    assert house.leader.phases()[-2:] == [NodePhase.START_TASK, NodePhase.READY]
    last = house.leader.of(link.NodeReport)[-1].start_task
    assert last is not None
    assert (last.exit_code, last.retry_count) == (0, 0)
    assert last.ended_at >= last.started_at > 0
    assert (house.start_runner.root / "shared/out").read_text() == "demo-0 /mnt/batch/startup/wd\n"


async def test_a_start_task_that_fails_is_run_again_as_often_as_it_may_and_then_left_to_be_looked_at(
    house: House,
) -> None:
    await begin(house, 'echo run >> "$ROOT/shared/runs"; exit 7', retries=1)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    last = told(house)[-1]
    assert (last.exit_code, last.retry_count) == (7, 1)
    assert (house.start_runner.root / "shared/runs").read_text() == "run\nrun\n"
    assert house.start_runner.process is not None
    assert house.start_runner.process.returncode is None
    await house.stop_agent()
    runner = await connect(house.start_runner)
    await runner.close()
    assert [one["id"] for one in runner.hello["finished"]] == ["start-task:1"]  # the latest run alone is remembered
    house.leader.heard.clear()
    house.start_agent()
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    assert told(house)[-1] == last
    assert (house.start_runner.root / "shared/runs").read_text() == "run\nrun\n"


async def test_a_start_task_without_a_limit_of_retries_is_run_until_it_succeeds(house: House) -> None:
    await begin(house, 'echo run >> "$ROOT/shared/runs"; test $(wc -l < "$ROOT/shared/runs") = 4', retries=-1)
    assert await house.start_runner.has_left()
    await until(lambda: bool(told(house)) and told(house)[-1].exit_code == 0)
    assert told(house)[-1].retry_count == 3
    assert NodePhase.START_TASK_FAILED not in house.leader.phases()


async def test_a_start_task_goes_on_under_an_agent_that_is_restarted(house: House) -> None:
    script = 'echo run >> "$ROOT/shared/runs"; while ! test -e "$ROOT/shared/go"; do sleep 0.02; done'
    await begin(house, script)
    await until(lambda: bool(told(house)) and told(house)[-1].started_at > 0)
    started = told(house)[-1].started_at
    await house.stop_agent()
    house.leader.heard.clear()
    house.start_agent()
    await until(lambda: bool(told(house)))
    assert told(house)[-1].started_at == started
    (house.start_runner.root / "shared/go").touch()
    assert await house.start_runner.has_left()
    await until(lambda: told(house)[-1].exit_code == 0)
    assert (house.start_runner.root / "shared/runs").read_text() == "run\n"


async def test_a_start_task_whose_program_is_missing_fails_without_another_run(house: House) -> None:
    await begin(house, ["/no/such/program"], retries=-1)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    last = told(house)[-1]
    assert (last.exit_code, last.code, last.retry_count) == (None, "CommandProgramNotFound", 0)


async def test_a_start_task_whose_environment_grows_without_end_fails_with_a_sentence(house: House) -> None:
    env = ["V0=" + "x" * 1000, *(f"V{i}=$(V{i - 1})$(V{i - 1})" for i in range(1, 40))]
    await begin(house, ["true"], env, retries=3)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    assert told(house)[-1].code == "CommandLaunchFailed"
    assert "expands to more than" in told(house)[-1].message


# ---------------------------------------------------------------- inside the task container


async def begin_inside(house: House, script: str, *, retries: int = 0, waits: bool = True) -> None:
    """A node whose start task runs in the task container."""
    argv = ["sh", "-c", script]
    house.start_task = StartTaskConfig(argv, [f"ROOT={house.runner.root}"], retries, inside=True, waits=waits)
    await house.replica.start()
    house.replica.lead(1)
    await house.runner.start()
    house.start_agent()


async def test_inside_the_task_container_no_task_runs_before_the_start_task_has_succeeded(house: House) -> None:
    await begin_inside(house, 'while ! test -e "$ROOT/shared/go"; do sleep 0.02; done')
    await until(lambda: bool(told(house)) and told(house)[-1].started_at > 0 and house.is_told())
    await until(lambda: house.run("early", "true"))
    await until(lambda: bool(house.leader.of(link.Rejected)))
    assert "start task" in house.leader.of(link.Rejected)[0].reason
    house.mark("go")
    await until(house.is_ready)
    assert house.leader.phases()[-2:] == [NodePhase.START_TASK, NodePhase.READY]
    assert told(house)[-1].exit_code == 0
    house.run("then", "true")
    assert (await house.end_of("then")).exit_code == 0


async def test_a_daemon_that_the_start_task_left_is_used_by_tasks_and_outlives_them(house: House) -> None:
    daemon = 'while :; do asked=$(cat "$ROOT/shared/ask"); echo "$asked" > "$ROOT/shared/told"; done'
    await begin_inside(
        house, f'mkfifo "$ROOT/shared/ask" "$ROOT/shared/told"; setsid sh -c \'{daemon}\' & echo installed'
    )
    await until(house.is_ready)
    for number in ("1", "2"):
        shared = house.runner.root / "shared"
        house.run(number, f"echo {number} > {shared}/ask; cat {shared}/told")
        assert (await house.end_of(number)).exit_code == 0
        assert await house.output_of(number) == f"{number}\n"


async def test_a_task_container_that_restarts_runs_its_start_task_again_first(house: House) -> None:
    await begin_inside(house, 'echo run >> "$ROOT/shared/runs"; test -e "$ROOT/shared/hold" && exit 3; exit 0')
    await until(house.is_ready)
    house.mark("hold")
    await house.runner.kill()
    await until(lambda: house.leader.phases()[-1] == NodePhase.STARTING)
    await house.runner.start()
    await until(lambda: house.leader.phases()[-1] == NodePhase.START_TASK_FAILED)
    assert (house.runner.root / "shared/runs").read_text() == "run\nrun\n"
    await until(lambda: house.run("never", "true"))
    await until(lambda: bool(house.leader.of(link.Rejected)))


async def test_an_agent_that_restarts_finds_the_start_task_done(house: House) -> None:
    await begin_inside(house, 'echo run >> "$ROOT/shared/runs"')
    await until(house.is_ready)
    await house.stop_agent()
    house.leader.heard.clear()
    house.start_agent()
    await until(house.is_ready)
    assert NodePhase.START_TASK not in house.leader.phases()
    assert (house.runner.root / "shared/runs").read_text() == "run\n"


async def test_tasks_that_do_not_wait_run_beside_a_start_task_and_after_its_failure(house: House) -> None:
    script = 'while ! test -e "$ROOT/shared/go"; do sleep 0.02; done; exit 9'
    await begin_inside(house, script, waits=False)
    await until(house.is_ready)
    house.run("beside", "true")
    assert (await house.end_of("beside")).exit_code == 0
    house.mark("go")
    await until(lambda: bool(told(house)) and told(house)[-1].exit_code == 9)
    assert house.leader.phases()[-1] == NodePhase.READY
    house.run("after", "true")
    assert (await house.end_of("after")).exit_code == 0


# ---------------------------------------------------------------- a reboot in place


async def test_an_empty_node_restarts_all_its_containers_when_the_leader_says_so(house: House) -> None:
    await house.open()
    house.run("a", "true")
    await house.end_of("a")
    boot = house.leader.of(link.NodeReport)[-1].boot_id
    house.replica.hub.restart(POD, boot)  # its result is not acknowledged yet: it stays
    house.run("b", "true")
    await house.end_of("b")
    house.replica.hub.acknowledge(POD, ["a", "b"])
    house.replica.hub.restart(POD, "another boot")
    house.replica.hub.restart(POD, boot)
    assert house.runner.process is not None
    assert await house.runner.process.wait() == RESTART_EXIT_CODE


async def test_a_node_with_a_task_does_not_restart(house: House) -> None:
    await house.open()
    house.run("a", f"while ! test -e {house.runner.root}/shared/go; do sleep 0.02; done")
    await house.start_of("a")
    house.replica.hub.restart(POD, house.leader.of(link.NodeReport)[-1].boot_id)
    house.mark("go")
    assert (await house.end_of("a")).exit_code == 0
