"""Resource files over the whole link: hub, agent, runner and the servers that files come from are real.

Whatever happens while they are brought, a run's command runs once or never, and its end is told.
"""

from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from tests.agent.fetch.blob_storage import Storage, storing
from tests.agent.fetch.server import BODY, Server, serving
from tests.agent.runners import connect
from tests.link.house import POD, House, until
from tests.link.test_start_tasks import told

from batchpools.core.node_config import FileSource, StartTaskConfig
from batchpools.link import messages as link
from batchpools.link.words import Cause, NodePhase


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Server()) as one:
        yield one


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    blobs = {"in/1": b"one\n", "in/deep/2": b"two\n", "other": b"other"}
    async with storing(Storage(containers={"data": blobs})) as one:
        yield one


@pytest.fixture
def referring(house: House) -> House:
    """Its agent has what the pool lists."""
    house.places = replace(house.places, references_dir=house.folder / "references")
    for path, content in {
        "ConfigMap/scene/scene.txt": b"a castle\n",
        "ConfigMap/scene/lights": b"\xff\xfe",
        "Secret/licence/key": b"123",
        "Secret/store/sasToken": b"sig=secret",
    }.items():
        file = house.places.references_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    (house.places.references_dir / "ConfigMap/scene/..data").mkdir()
    return house


def http(server: Server, path: str, to: str = "input", **fields: Any) -> FileSource:
    return FileSource("Http", f"{server.url}/{path}", to, **fields)


def ran(house: House, one: str) -> bool:
    """Whether the command of `run` left its mark."""
    return (house.runner.root / f"workitems/job/{one}/wd/ran").exists()


async def test_a_run_finds_its_files_with_their_modes(referring: House, server: Server, storage: Storage) -> None:
    house = referring
    await house.open()
    assert house.leader.of(link.NodeReport)[-1].fetches
    storage.signature = "secret"
    files = [
        http(server, "ok", "in/body", mode=0o640),
        FileSource("ConfigMap", "scene", "scene", mode=0o444),
        FileSource("Secret", "licence", "", mode=0o400),
        FileSource("Container", f"{storage.url}/data", "blobs", prefix="in/", credentials="store"),
    ]
    house.run(
        "a",
        "ls -l in/body scene/lights key | cut -c1-10; cat scene/scene.txt key blobs/in/1 blobs/in/deep/2; wc -c < in/body",
        files=files,
    )
    assert (await house.end_of("a")).exit_code == 0
    assert await house.output_of("a") == (f"-rw-r-----\n-r--------\n-r--r--r--\na castle\n123one\ntwo\n{len(BODY)}\n")


@pytest.mark.parametrize(
    ("file", "code", "word"),
    [
        (FileSource("Http", "status/404", "input"), "BlobNotFound", "input: "),
        (FileSource("Http", "ok", "input", sha256="0" * 64), "BlobDownloadMiscError", "has the SHA-256"),
        (FileSource("Http", "ok", "../input"), "ResourceFileCreateFailed", "no file in the working directory"),
        (
            FileSource("Http", "ok", "in", credentials="licence"),
            "BlobAccessDenied",
            "Secret licence is not there or holds no",
        ),
        (FileSource("Http", "ok", "in", credentials="../licence"), "BlobNotFound", "is the name of no Secret"),
        (FileSource("ConfigMap", "absent"), "BlobNotFound", "ConfigMap absent is not on this node"),
        (FileSource("AutoStorage", "data"), "ResourceContainerNotFound", "told of no storage account"),
        (FileSource("Container", "status/404"), "ResourceContainerNotFound", "was answered with 404"),
    ],
)
async def test_a_file_that_cannot_be_had_fails_the_run_without_running_it(
    referring: House, server: Server, file: FileSource, code: str, word: str
) -> None:
    house = referring
    await house.open()
    if file.kind in {"Http", "Container"}:
        file = FileSource(
            file.kind, f"{server.url}/{file.location}", file.path, 0o770, "", file.sha256, file.credentials
        )
    house.run("a", "touch ran", files=[http(server, "ok", "first"), file])
    end = await house.end_of("a")
    assert (end.cause, end.exit_code, end.code) == (Cause.LAUNCH_FAILED, None, code)
    assert word in end.message
    assert not ran(house, "a")


async def test_a_blob_whose_name_leaves_the_directory_is_refused(house: House, storage: Storage) -> None:
    storage.containers["data"] = {"../../../shared/evil": b"x"}
    await house.open()
    house.run("a", "touch ran", files=[FileSource("Container", f"{storage.url}/data")])
    end = await house.end_of("a")
    assert end.code == "ResourceFileCreateFailed"
    assert "holds a blob with the name '../../../shared/evil'" in end.message
    assert not (house.runner.root / "shared/evil").exists()


async def test_bringing_files_is_part_of_the_run_and_its_wall_clock_runs(house: House, server: Server) -> None:
    await house.open()
    house.run("a", "touch ran", files=[http(server, "held")], wall_clock=0.5)
    await house.start_of("a")
    end = await house.end_of("a")
    assert (end.cause, end.code, end.exit_code) == (Cause.WALL_CLOCK, "TaskEnded", None)
    assert not ran(house, "a")


async def test_a_kill_while_files_are_brought_ends_the_run_and_the_fetching(house: House, server: Server) -> None:
    await house.open()
    house.run("a", "touch ran", files=[http(server, "held")])
    await house.start_of("a")
    await until(lambda: server.seen["/held"] == 1)
    assert house.replica.hub.kill(POD, "a", 5.0)
    assert (await house.end_of("a")).cause == Cause.KILLED
    await until(lambda: server.left == 1)
    assert not ran(house, "a")


async def test_a_new_leader_learns_of_a_run_whose_files_are_being_brought(house: House, server: Server) -> None:
    await house.open()
    house.run("a", "touch ran", files=[http(server, "held")])
    await house.start_of("a")
    await house.restart_hub(epoch=2)
    await until(house.is_told)
    assert [one.execution_id for one in house.leader.of(link.Inventory)[-1].live] == ["a"]
    server.release.set()
    assert (await house.end_of("a")).exit_code == 0
    assert ran(house, "a")


async def test_with_an_agent_that_is_lost_the_run_is_lost_before_it_began_and_is_told_as_lost(
    house: House, server: Server
) -> None:
    """S1.1: a run that was lost does not begin later, whoever says what."""
    await house.open()
    house.run("a", "touch ran", files=[http(server, "held")])
    await house.start_of("a")
    await house.stop_agent()
    house.leader.heard.clear()
    house.start_agent()
    end = await house.end_of("a")
    assert (end.cause, end.exit_code) == (Cause.BOOT_LOST, None)
    server.release.set()
    await until(house.is_ready)
    house.run("b", "ls; touch ran", directory="workitems/job/a", files=[http(server, "ok")])
    assert (await house.end_of("b")).exit_code == 0
    chunk = await house.replica.hub.read_file(POD, "workitems/job/a/stdout.txt", 0, 4096)
    assert chunk.content == b"input\n", "nothing of the first run is left"


async def test_a_retry_finds_its_files_as_it_left_them(house: House, server: Server) -> None:
    await house.open()
    house.run("a", "echo changed > input; exit 1", files=[http(server, "ok")])
    await house.end_of("a")
    house.run("b", "cat input", directory="workitems/job/a", fresh=False)
    assert (await house.end_of("b")).exit_code == 0
    chunk = await house.replica.hub.read_file(POD, "workitems/job/a/stdout.txt", 0, 4096)
    assert chunk.content == b"changed\n"
    assert server.seen["/ok"] == 1


async def test_while_one_waits_for_its_files_others_run(house: House, server: Server) -> None:
    await house.open()
    house.run("a", "true", files=[http(server, "held")])
    house.run("b", "true")
    assert (await house.end_of("b")).exit_code == 0
    assert house.leader.ends("a") == []


# ---------------------------------------------------------------- of start tasks


async def begin(house: House, files: list[FileSource], script: str, *, inside: bool = False, retries: int = 0) -> None:
    runner = house.runner if inside else house.start_runner
    house.start_task = StartTaskConfig(
        ["sh", "-c", script], [f"ROOT={runner.root}"], retries, inside=inside, files=files
    )
    await house.replica.start()
    house.replica.lead(1)
    await runner.start("serve" if inside else "start-task")
    house.start_agent()


@pytest.mark.parametrize("inside", [False, True])
async def test_a_start_task_finds_its_files_and_they_are_brought_once_for_all_its_runs(
    house: House, server: Server, inside: bool
) -> None:
    script = 'echo run >> "$ROOT/shared/runs"; cp input "$ROOT/shared/"; test $(wc -l < "$ROOT/shared/runs") = 2'
    await begin(house, [http(server, "ok")], script, inside=inside, retries=1)
    await until(lambda: bool(told(house)) and told(house)[-1].exit_code == 0)
    root = (house.runner if inside else house.start_runner).root
    assert (root / "shared/input").read_bytes() == BODY
    assert server.seen["/ok"] == 1


@pytest.mark.parametrize("inside", [False, True])
async def test_a_start_task_without_its_files_has_failed_and_is_not_run_again(
    house: House, server: Server, inside: bool
) -> None:
    await begin(house, [http(server, "status/404")], 'touch "$ROOT/shared/ran"', inside=inside, retries=-1)
    await until(lambda: NodePhase.START_TASK_FAILED in house.leader.phases())
    last = told(house)[-1]
    assert (last.exit_code, last.code, last.retry_count) == (None, "BlobNotFound", 0)
    assert "was answered with 404" in last.message
    assert not ((house.runner if inside else house.start_runner).root / "shared/ran").exists()
    assert server.seen["/status/404"] == 1


def asked_again(server: Server, before: int) -> bool:
    return server.seen["/held"] > before


@pytest.mark.parametrize("inside", [False, True])
async def test_an_agent_that_is_lost_while_it_brings_a_start_tasks_files_is_followed_by_one_that_brings_them_again(
    house: House, server: Server, inside: bool
) -> None:
    await begin(house, [http(server, "held")], 'echo run >> "$ROOT/shared/runs"', inside=inside)
    for _ in range(2):
        before = server.seen["/held"]
        await until(partial(asked_again, server, before))
        await house.stop_agent()
        house.leader.heard.clear()
        house.start_agent()
    await until(lambda: server.seen["/held"] == 3)
    server.release.set()
    await until(lambda: bool(told(house)) and told(house)[-1].exit_code == 0)
    runner = house.runner if inside else house.start_runner
    assert (runner.root / "shared/runs").read_text() == "run\n"
    assert told(house)[-1].retry_count == 0
    if inside:
        await house.stop_agent()
        client = await connect(runner)
        await client.close()
        assert [one["id"] for one in client.hello["finished"]] == ["start-task:2:0"], (
            "the latest run alone is remembered"
        )
