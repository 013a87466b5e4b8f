"""Scarce memory and disk (safety rule S8.5): the program, within limits of its own, and the model say the same."""

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.agent.cgroups import memory_cgroup
from tests.agent.runners import WAIT, RealRunner, behaviour_of
from tests.agent.talk import Open

from batchpools.agent.runner_notes import event_of_note
from batchpools.core.lost_container import MemoryScarce
from batchpools.testing.runner_model import PROTOCOL, Moment, RunnerModel

MEBI = 1 << 20
LIMIT = 400 * MEBI  # 5 % of it is what grows in 200 ms: so long may a busy machine keep the runner waiting
SAME = ("op", "id", "label", "cause", "code", "exitCode", "signal")


def growing(mebibytes: int) -> list[str]:
    """A command that takes memory, 10 MiB in 100 ms, says so in a file, and waits."""
    grow = "import sys, time; from pathlib import Path; kept = []\n"
    grow += f"for _ in range({mebibytes // 10}): kept.append(b'x' * (10 << 20)); time.sleep(0.1)\n"
    grow += "Path('full').touch(); time.sleep(3600)"
    return [sys.executable, "-c", grow]


@pytest.fixture
async def confined(runner_binary: Path) -> AsyncIterator[RealRunner]:
    runner = RealRunner(runner_binary)
    with memory_cgroup(LIMIT) as runner.cgroup:
        await runner.start()
        yield runner
        await runner.clean()


@pytest.fixture
async def small_disk(runner_binary: Path) -> AsyncIterator[RealRunner]:
    runner = RealRunner(runner_binary)
    runner.disk_limit = 20_000_000
    await runner.start()
    yield runner
    await runner.clean()


class Listening:
    """A world that hears."""

    def __init__(self) -> None:
        self.heard: list[Mapping[str, Any]] = []

    def tell(self, agent: Any, note: Mapping[str, Any]) -> None:
        self.heard.append(note)

    def replaced(self, agent: Any) -> None: ...

    def started(self, execution_id: str) -> None: ...

    def ended(self, execution_id: str, cause: str) -> None: ...

    def acknowledged(self, execution_id: str) -> None: ...

    def left(self, exit_code: int) -> None: ...


def as_the_model_says(cause: str) -> list[Mapping[str, Any]]:
    """The notes of the same story: scarce, killed, enough again."""
    world, at = Listening(), Moment(1.0, 1.0)
    model = RunnerModel("boot", world, behaviour_of)
    model.hello("agent", PROTOCOL, at)
    model.handle("agent", {"op": "deadline", "at": 9.0}, at)
    model.handle("agent", {"op": "run", "id": "b", "label": "task-b", "dir": "workitems/j/b", "argv": WAIT}, at)
    model.tell_memory("b", 1, 2, 3)
    model.exhaust("b", cause, at)
    model.tell_memory("", 0, 0, 0)
    return [note for note in world.heard if note["op"] != "started"]


async def test_the_run_that_grows_is_named_and_ended_and_its_neighbour_goes_on(
    confined: RealRunner, talk: Open
) -> None:
    agent = await talk(confined)
    agent.run("a", growing(40))
    await agent.next("started")
    agent.run("b", growing(10_000))
    scarce: Mapping[str, Any] = {}
    ended: Mapping[str, Any] = {}
    enough: Mapping[str, Any] = {}
    one, tries = "b", 0
    while not ended or not enough:  # either may come first
        match await agent.any():
            case {"op": "memory", "id": named} as note if named == one:
                scarce, enough = note, {}
            case {"op": "memory", "id": ""} as note:
                enough = note
            case {"op": "finished", "cause": "exit", "signal": 9}:
                # on a busy machine the runner may get no turn in time, and the kernel is faster: then once more
                tries += 1
                assert tries < 10
                agent.client.tell("ack", ids=[one])
                one = f"b{tries}"
                agent.run(one, growing(10_000), label="task-b")
            case {"op": "finished"} as note:
                ended = note
    agent.client.tell("kill", id="a", grace=0)
    assert (await agent.next("finished"))["cause"] == "killed"

    told = event_of_note(scarce)
    assert isinstance(told, MemoryScarce)
    assert (told.execution_id, told.limit) == (one, LIMIT)
    assert LIMIT / 2 <= told.used < LIMIT
    assert told.size < told.used
    assert "MiB" in ended["message"]
    assert event_of_note(enough) == MemoryScarce("", 0, 0, 0)
    for said, modelled in zip((scarce, ended, enough), as_the_model_says("outOfMemory"), strict=True):
        assert said.keys() == modelled.keys()
        named = {**said, "id": "b"} if said["id"] == one else said
        assert [named.get(word) for word in SAME] == [modelled.get(word) for word in SAME]


async def test_the_run_whose_directory_fills_the_disk_is_ended_and_its_neighbour_goes_on(
    small_disk: RealRunner, talk: Open
) -> None:
    agent = await talk(small_disk)
    agent.run("a", ["sh", "-c", "head -c 3000000 /dev/zero > x; sleep 3600"])
    await agent.next("started")
    agent.run("b", ["sh", "-c", "while sleep 0.05; do head -c 1000000 /dev/zero >> x; done"])
    ended = await agent.next("finished")
    agent.client.tell("kill", id="a", grace=0)
    assert (await agent.next("finished"))["cause"] == "killed"
    assert "MiB" in ended["message"]
    _, modelled, _ = as_the_model_says("diskFull")
    assert ended.keys() == modelled.keys()
    assert {word: ended[word] for word in SAME} == {word: modelled[word] for word in SAME}


async def test_what_a_hostile_task_hides_ends_when_no_run_is_live(small_disk: RealRunner, talk: Open) -> None:
    """S8.4: nothing marks such a process; and of a careless task nothing is left even beside another run."""
    agent = await talk(small_disk)
    agent.run("other", WAIT)
    await agent.next("started")
    agent.run("a", ["sh", "-c", "setsid sleep 3600 & echo $!; env -i setsid sleep 3600 & echo $!; sleep 0.3"])
    await agent.next("finished")
    careless, hostile = (await agent.output("a")).decode().split()
    assert [lives(careless), lives(hostile)] == [False, True]
    agent.client.tell("kill", id="other", grace=5)
    await agent.next("finished")
    assert not lives(hostile)


def lives(pid: str) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] != "Z"
    except OSError:
        return False
