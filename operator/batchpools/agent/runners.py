"""The runners that a node's agent is connected to, by container, and what is asked of them all.

A runner that is gone hears nothing; what it misses is settled by its next hello. The containers share the node's directory, so any
runner reads there; another one is asked when one is refused, since their users may differ. What a run has left is removed by
its own runner.
"""

import os
from collections.abc import Awaitable, Coroutine, Mapping
from typing import Any

from batchpools.agent.runner_client import Note, RunnerClient, RunnerError, RunnerGoneError

_OF_THE_POD = ("req", "disk", "networkIn", "networkOut")  # what the containers of a pod share: not to be added up


class Runners:
    """Those of the containers that run tasks, in the order of the pod, and the start task's while it runs."""

    def __init__(self) -> None:
        self._there: dict[str, RunnerClient] = {}
        self._removing: set[tuple[str, str]] = set()  # (directory, container whose runner was asked)

    def __contains__(self, container: str) -> bool:
        """Whether the runner of a container is there."""
        return container in self._there

    def __bool__(self) -> bool:
        """Whether any is."""
        return bool(self._there)

    def joined(self, container: str, runner: RunnerClient) -> None:
        """A connection is up."""
        self._there[container] = runner

    def left(self, container: str) -> None:
        """It has ended."""
        self._there.pop(container, None)
        self._removing = {one for one in self._removing if one[1] != container}

    def env_of(self, container: str) -> list[str]:
        """The environment of a container, as NAME=value."""
        runner = self._there.get(container)
        return list(runner.hello["env"]) if runner is not None else []

    def tell(self, container: str, op: str, **fields: Any) -> None:
        """Tell one. RunnerError TooLarge."""
        runner = self._there.get(container)
        if runner is not None:
            try:
                runner.tell(op, **fields)
            except ConnectionError:
                return

    def tell_all(self, op: str, **fields: Any) -> None:
        """Tell each the same."""
        for container in list(self._there):
            self.tell(container, op, **fields)

    async def ask(self, container: str, op: str, **fields: Any) -> Note:
        """One answer of one; RunnerError when it refuses, ConnectionError or TimeoutError without one."""
        runner = self._there.get(container)
        if runner is None:
            raise RunnerGoneError("the runner is gone")
        return await runner.ask(op, **fields)

    async def read(self, path: str, offset: int, limit: int) -> tuple[bytes, int, int]:
        """A part of a file: the first answer, or the first refusal."""
        refused: RunnerError | ConnectionError | TimeoutError = RunnerGoneError("no container of the node is up")
        for number, runner in enumerate(tuple(self._there.values())):
            try:
                return await runner.read(path, offset, limit)
            except (RunnerError, ConnectionError, TimeoutError) as error:
                refused = error if number == 0 else refused
        raise refused

    def remove(self, path: str, container: str) -> Coroutine[Any, Any, None] | None:
        """Ask a container's runner at once to remove what a run there has left; what it returns waits for the answer.

        At once, so before what that runner is told next: its next run may use the same directory. None when it is not there.
        """
        runner = self._there.get(container)
        if runner is None:
            return None
        answer = runner.ask("remove", path=path)
        self._removing.add((path, container))
        return self._removed((path, container), answer)

    def is_removed(self, path: str, container: str) -> bool:
        """Whether the runner of another container was asked to remove this directory, and may not have done so yet."""
        return any(by != container and (_is_within(path, one) or _is_within(one, path)) for one, by in self._removing)

    async def _removed(self, asked: tuple[str, str], answer: Awaitable[Note]) -> None:
        """Without an answer it may still do it: nobody else uses the directory while that runner is there."""
        try:
            await answer
        except (RunnerError, ConnectionError):
            self._removing.discard(asked)
            raise
        self._removing.discard(asked)

    async def usage(self) -> tuple[str, Note] | None:
        """(boot ids, what all containers have used together); None when none is there."""
        there = tuple(self._there.values())
        told = [await runner.ask("usage") for runner in there]
        if not told:
            return None
        return " ".join(str(runner.hello["bootId"]) for runner in there), together(told, os.cpu_count() or 1)


def together(told: list[Note], machine_cores: int) -> Note:
    """The usage of containers of one pod as that of one: -1 where one of them cannot tell. Cores: no more than there are."""
    if len(told) == 1:
        return told[0]
    first: Mapping[str, Any] = told[0]
    sums: dict[str, Any] = {}
    for what, value in first.items():
        if what in _OF_THE_POD or not isinstance(value, int | float):
            continue
        values = [one[what] for one in told]
        sums[what] = -1 if any(one < 0 for one in values) else sum(values)
    cores = [one["cores"] for one in told]
    return {**first, **sums, "cores": min(sums["cores"], max(machine_cores, *cores))}


def _is_within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")
