"""Random scripts, said to the program and to the model: after each line both have told the same."""

import asyncio
import random
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from tests.agent.runners import COUNT, WAIT, RealRunner, behaviour_of, connect, leave_with

from batchpools.agent.runner_client import RunnerClient
from batchpools.telemetry.clock import SystemClock
from batchpools.testing.runner_model import PROTOCOL, Moment, RunnerModel

LINES = 60
IDS = "abcdefghijkl"
HOUR = 3600.0

Line = tuple[str, dict[str, Any]]
Told = tuple[Any, ...]


def script(seed: int) -> list[Line]:
    """What an agent says, and what it waits for, chosen by the seed. `hello` = it comes anew; a deadline is from now on."""
    dice = random.Random(seed)  # noqa: S311 (a script, not a secret)
    commands = [leave_with(0), leave_with(3), WAIT, WAIT, COUNT, COUNT, COUNT, ["/no/such/program"], [""]]
    lines: list[Line] = [("deadline", {"at": HOUR})]
    for _ in range(LINES):
        one = dice.choice(IDS)
        run: dict[str, Any] = {
            "id": one,
            "label": one,
            "dir": f"workitems/j/{dice.choice('xy')}",
            "argv": dice.choice(commands),
        }
        run |= {"fresh": dice.random() < 0.4, "killGrace": 5, "env": [], "awaits": dice.random() < 0.3}
        put = {
            "id": one,
            "path": "x",
            "data": "",
            "last": True,
            "offset": dice.choice([0, 0, 1]),
            "mode": 0o700,
            "req": 1,
        }
        choices: list[Line] = [
            ("run", run),
            ("kill", {"id": one, "grace": dice.choice([0, 5])}),
            ("put", put),
            ("begin", {"id": one}),
            ("fail", {"id": one, "failure": "BlobNotFound", "text": "no"}),
            ("ack", {"ids": dice.sample(IDS, 4)}),
            ("hello", {}),
            ("remove", {"path": f"workitems/j/{dice.choice('xy')}", "req": 1}),
            ("deadline", {"at": 0.01}),
            ("deadline", {"at": HOUR}),
        ]
        lines += dice.choices(choices, weights=[10, 4, 3, 6, 1, 5, 2, 1, 1, 2])
    return lines


def said(note: Mapping[str, Any]) -> Told:
    """What of a note must be the same."""
    words = ("op", "id", "label", "cause", "exitCode", "signal", "code", "req")
    return (*(note.get(word) for word in words), note.get("pid") == 0)


def greeting(hello: Mapping[str, Any], now: float) -> Told:
    """What of a hello must be the same."""
    running = sorted((one["id"], one["label"]) for one in hello["running"])
    finished = sorted((said(one) for one in hello["finished"]), key=repr)  # what ends together ends in no order
    return ("hello", hello["mode"], running, finished, sorted(hello["acked"]), hello["deadline"] > now)


class Played:
    """The model in a time of its own; it is the world of it, too."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.told: list[Told] = []
        self.model = RunnerModel("boot", self, behaviour_of)
        self.model.hello("agent", PROTOCOL, self.at())

    def at(self) -> Moment:
        return Moment(self.now, self.now)

    def say(self, line: Line) -> list[Told]:
        op, fields = line
        self.told = []
        if op == "hello":
            hello, *later = self.model.hello("agent", PROTOCOL, self.at())
            self.told += [greeting(hello, self.now), *map(said, later)]
        else:
            moved = {"at": self.now + fields["at"]} if op == "deadline" else {}
            self.model.handle("agent", {"op": op, **fields, **moved}, self.at())
        self.now += 1.0
        self.model.advance(self.at())
        return sorted(self.told, key=repr)

    def tell(self, agent: Any, note: Mapping[str, Any]) -> None:
        self.told.append(said(note))

    def replaced(self, agent: Any) -> None:
        pass

    def started(self, execution_id: str) -> None:
        pass

    def ended(self, execution_id: str, cause: str) -> None:
        pass

    def acknowledged(self, execution_id: str) -> None:
        pass

    def left(self, exit_code: int) -> None:
        raise AssertionError("nobody told it to leave")


class Program:
    """The program, asked the same."""

    def __init__(self, runner: RealRunner) -> None:
        self._runner = runner
        self._client: RunnerClient | None = None
        self._notes: asyncio.Queue[Mapping[str, Any]] = asyncio.Queue()

    async def say(self, line: Line, expected: int) -> list[Told]:
        """What it tells: at least so many notes, and all that come before it answers something else."""
        op, fields = line
        clock = SystemClock()
        told: list[Told] = []
        if op == "hello" or self._client is None:
            await self.close()
            self._client = await connect(self._runner, None)
            self._client.listen(self._notes.put_nowait)
            told.append(greeting(self._client.hello, clock.boottime()))
        if op != "hello":
            moved = {"at": clock.boottime() + fields["at"]} if op == "deadline" else {}
            self._client.tell(op, **{**fields, **moved})
            if fields.get("at") == 0.01:
                await asyncio.sleep(0.01)  # the next line comes after it
        while len(told) < expected:
            told.append(said(await asyncio.wait_for(self._notes.get(), 10)))
        self._client.tell("kill", id="nobody", grace=0)
        while (note := await self._notes.get()).get("id") != "nobody":
            told.append(said(note))
        return sorted(told, key=repr)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()


@pytest.fixture
async def program(runner_binary: Any) -> AsyncIterator[Program]:
    runner = RealRunner(runner_binary)
    await runner.start()
    made = Program(runner)
    await made.say(("hello", {}), 1)
    yield made
    await made.close()
    await runner.clean()


@pytest.mark.parametrize("seed", range(8))
async def test_any_script_is_answered_alike_by_the_model_and_by_the_program(program: Program, seed: int) -> None:
    played = Played()
    story: list[Line] = []
    for line in script(seed):
        story.append(line)
        expected = played.say(line)
        try:
            assert await program.say(line, len(expected)) == expected, story
        except TimeoutError:
            pytest.fail(f"the program told less than {expected} after {story}")
