"""Application packages over the whole link, with a real agent and runner: in place before the start task and the tasks, or said."""

from tests.agent.fetch.server import Server, serving
from tests.agent.test_unpack import zipped
from tests.link.house import House, until

from batchpools.core.node_config import PackageConfig, StartTaskConfig
from batchpools.link import messages as link
from batchpools.link.words import NodePhase

BLENDER = PackageConfig("blender", "4.2", "0a", config_map="blender", is_default=True)


def apply(house: House) -> None:
    """The ConfigMap, as the kubelet mounts it."""
    folder = house.places.package_sources_dir / "blender"
    folder.mkdir(parents=True, exist_ok=True)
    zipped(folder / "blender.zip", ("tool", "bin/blender", "#!/bin/sh\necho rendered\n"))


def troubles(house: House) -> list[tuple[str, str]]:
    """Code and sentence of what kept the node from starting."""
    return [(one.code, one.message) for one in house.leader.of(link.NodeReport) if one.message]


async def test_start_task_and_tasks_find_a_package_by_its_variable(house: House) -> None:
    apply(house)
    house.packages = [BLENDER]
    house.start_task = StartTaskConfig(["sh", "-c", "env > env"], [], 0)
    await house.replica.start()
    house.replica.lead(1)
    await house.start_runner.start("start-task")
    house.start_agent()
    assert await house.start_runner.has_left()
    told = (house.start_runner.root / "startup/wd/env").read_text().splitlines()
    assert "AZ_BATCH_APP_PACKAGE_blender=/mnt/batch/applications/blender/4.2" in told
    assert (house.places.packages_dir / "blender/4.2/bin/blender").is_file(), "it was there before the start task"
    await house.runner.start()
    await until(house.is_ready)
    house.run("t1", "echo $AZ_BATCH_APP_PACKAGE_blender_4_2 $AZ_BATCH_APP_PACKAGE_blender")
    assert (await house.end_of("t1")).exit_code == 0
    folder = "/mnt/batch/applications/blender/4.2"
    assert await house.output_of("t1") == f"{folder} {folder}\n"
    assert troubles(house) == []


async def test_a_package_that_is_missing_is_said_with_its_code_and_nothing_starts_until_it_is_there(
    house: House,
) -> None:
    house.packages = [BLENDER]
    await house.replica.start()
    house.replica.lead(1)
    await house.runner.start()
    house.start_agent()
    await until(lambda: bool(troubles(house)))
    sentence = "Application package blender 4.2: ConfigMap blender does not exist or is empty."
    assert troubles(house)[-1] == ("ApplicationPackageError", sentence)
    assert house.leader.phases() == [NodePhase.STARTING]
    assert not house.is_told(), "no run is sent before"
    apply(house)
    await until(house.is_ready)  # it looks again by itself
    last = house.leader.of(link.NodeReport)[-1]
    assert (last.phase, last.message, last.code) == (NodePhase.READY, "", "")


async def test_an_agent_that_begins_anew_does_not_fetch_again_and_disturbs_no_task(house: House) -> None:
    archive = zipped(house.folder / "given.zip", ("file", "data", "1")).read_bytes()
    server = Server()
    server.files["/ok/data.zip"] = archive
    async with serving(server):
        house.packages = [PackageConfig("data", "1", "0b", url=f"{server.url}/ok/data.zip")]
        await house.open()
        assert (house.places.packages_dir / "data/1/data").read_text() == "1"
        house.run("t1", "until test -e ../../../../shared/go; do sleep 0.02; done")
        await house.start_of("t1")
        await house.stop_agent()
        house.start_agent()
        await until(lambda: len(house.leader.of(link.Inventory)) > 1)
        house.mark("go")
        assert (await house.end_of("t1")).exit_code == 0
    assert server.seen["/ok/data.zip"] == 1
