"""Requests to a runner and their answers: each answer reaches the one who asked, whenever it comes."""

import asyncio
from typing import Any

import pytest

from batchpools.agent.runner_client import Requests, RunnerError, RunnerGoneError


def test_an_answer_that_comes_while_it_is_told_is_the_answer() -> None:
    async def main() -> None:
        requests = Requests()

        def tell(op: str, **fields: Any) -> None:
            assert requests.answer({"op": f"{op}ed", "req": fields["req"]})

        assert (await requests.ask(tell, "remov", {"path": "a"}))["op"] == "removed"
        assert not requests.answer({"op": "removed", "req": 1}), "nobody waits for it any more"

    asyncio.run(main())


def test_what_could_not_be_told_waits_for_nothing() -> None:
    async def main() -> None:
        requests = Requests()

        def tell(op: str, **fields: Any) -> None:
            raise RunnerError("TooLarge", "too much")

        with pytest.raises(RunnerError):
            await requests.ask(tell, "read", {})
        assert not requests.answer({"op": "read", "req": 1})
        requests.end()

    asyncio.run(main())


def test_what_waits_when_the_connection_ends_is_told_so() -> None:
    async def main() -> None:
        requests = Requests()
        answer = requests.ask(lambda *_, **__: None, "usage", {})
        requests.end()
        with pytest.raises(RunnerGoneError):
            await answer

    asyncio.run(main())
