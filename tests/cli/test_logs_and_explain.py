"""`kubectl batch logs` and `explain`: what is asked of the aggregated API, how it is told, and what when it is not there."""

import json
from typing import Any

import pytest
from tests.cli.stage import User

from batchpools.cli.access import CliError
from batchpools.kube.errors import GoneError, KubeError, NotFoundError, UnavailableError, UnreachableError
from batchpools.testing import builders

BASE = "/apis/ops.batchpools.dev/v1beta1/namespaces/default/tasks/words.raven"


def reader(*pieces: bytes | KubeError, verb: str = "logs") -> User:
    user = User(builders.task("words.raven", job_name="words", id="raven"))
    user.cluster.answers[f"{BASE}/{verb}"] = list(pieces)
    return user


def told(**more: Any) -> bytes:
    usual = {"state": "Active", "node": "", "reason": "NoFreeSlots", "message": "All slots are taken.", "position": 3}
    return json.dumps({**usual, "waiting": 7, "refusals": [], **more}).encode()


@pytest.mark.parametrize(
    ("words", "query"),
    [
        ([], {}),
        (["-f"], {"follow": "true"}),
        (["--stderr", "--tail", "5"], {"stream": "stderr", "tail": "5"}),
    ],
)
async def test_logs_are_copied_byte_by_byte(words: list[str], query: dict[str, str]) -> None:
    user = reader(b"one\n\xc3", b"\xa4\x00two")
    assert await user.types("logs", "words/raven", *words) == 0
    assert user.out.text == "one\nä\0two"
    assert user.cluster.asked == [(f"{BASE}/logs", query)]


@pytest.mark.parametrize("tail", ["0", "-3", "all"])
def test_a_tail_is_a_number_of_lines(tail: str, capsys: pytest.CaptureFixture[str]) -> None:
    from batchpools.cli.__main__ import parser  # noqa: PLC0415 (beside its one use)

    with pytest.raises(SystemExit) as caught:
        parser().parse_args(["logs", "x", "--tail", tail])
    assert caught.value.code == 2
    assert "--tail" in capsys.readouterr().err


async def test_a_log_that_is_cut_is_said_to_be_cut() -> None:
    user = reader(b"one\n", UnreachableError("Response payload is not completed"))
    with pytest.raises(CliError, match="the output was cut"):
        await user.types("logs", "words.raven", "-f")
    assert user.out.text == "one\n"


@pytest.mark.parametrize("verb", ["logs", "explain"])
@pytest.mark.parametrize(
    "error",
    [
        NotFoundError("404 page not found\n", 404),
        NotFoundError("the server could not find the requested resource", 404, "NotFound"),
        UnavailableError("service unavailable\n", 503),
        UnavailableError("error trying to reach service: dial tcp 10.0.0.1:8444: connection refused", 503),
    ],
)
async def test_without_the_aggregated_api_a_sentence_says_so(verb: str, error: KubeError) -> None:
    user = reader(error, verb=verb)
    with pytest.raises(CliError, match=r"aggregated API ops\.batchpools\.dev does not answer.*kubectl get apiservice"):
        await user.types(verb, "words/raven")


async def test_what_the_operator_says_is_not_taken_for_its_absence() -> None:
    gone = GoneError("Node demo-0000, which held the files of this task, is gone.", 410)
    with pytest.raises(GoneError, match="which held the files"):
        await reader(gone).types("logs", "words/raven")
    away = UnavailableError("Node demo-0000 does not answer now: out of time", 503)
    with pytest.raises(UnavailableError, match="does not answer now"):
        await reader(away).types("logs", "words/raven")


async def test_an_explanation_is_told_in_sentences() -> None:
    refusals = [["demo-0000", "needs 2 slots, has 1"], ["", "No other node."]]
    user = reader(told(refusals=refusals), verb="explain")
    assert await user.types("explain", "words/raven") == 0
    assert user.lines == [
        "Task words.raven: Active",
        "  NoFreeSlots: All slots are taken.",
        "  Place 3 of 7 in the pool's queue.",
        "  - demo-0000: needs 2 slots, has 1",
        "  - No other node.",
    ]


async def test_of_a_running_task_it_tells_the_node() -> None:
    user = reader(told(state="Running", node="demo-0000", position=0, message=""), verb="explain")
    await user.types("explain", "words/raven")
    assert user.lines == ["Task words.raven: Running on demo-0000", "  NoFreeSlots"]


async def test_an_answer_of_another_version_is_no_traceback() -> None:
    with pytest.raises(CliError, match="another version"):
        await reader(b'{"state": 1}', verb="explain").types("explain", "words/raven")
