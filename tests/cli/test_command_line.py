"""The command line as a whole: exit codes, errors as sentences, and the kubectl that each verb teaches."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.stage import User

from batchpools.cli import __main__ as command
from batchpools.cli.access import Access
from batchpools.core.views import JobStatus
from batchpools.kube.errors import ForbiddenError
from batchpools.testing import builders

BASE = "/apis/ops.batchpools.dev/v1beta1/namespaces/default/tasks/words.raven"
DONE = builders.job("words", status=JobStatus(state="Completed", result="Success"))


@pytest.fixture
def user(monkeypatch: pytest.MonkeyPatch) -> User:
    made = User(DONE, builders.task("words.raven", job_name="words", id="raven"))
    made.cluster.answers[f"{BASE}/logs"] = [b"hello\n"]
    told = b'{"state":"Active","node":"","reason":"Waiting","message":"","position":0,"waiting":0,"refusals":[],"source":"leader"}'
    made.cluster.answers[f"{BASE}/explain"] = [told]
    monkeypatch.setattr(Access, "of_user", lambda _, *, show: made.access(show=show))
    return made


@pytest.mark.parametrize(
    ("words", "kubectl"),
    [
        ("get jobs", "kubectl get bjob -n default"),
        ("get job words -o yaml", "kubectl get bjob words -n default -o yaml"),
        ("get tasks -A -o wide", "kubectl get btask -A -o wide"),
        ("get tasks --job words", "kubectl get btask -n default --field-selector=spec.jobName=words"),
        ("get task words/raven", "kubectl get btask words.raven -n default"),
        ("wait words", "kubectl wait --for=condition=Finished bjob/words -n default"),
        ("wait words --timeout 1m30s", "kubectl wait --for=condition=Finished bjob/words -n default --timeout=90s"),
        ("logs words/raven -f --tail 3", f"kubectl get --raw '{BASE}/logs?follow=true&tail=3'"),
        ("explain words/raven", f"kubectl get --raw '{BASE}/explain'"),
    ],
)
def test_every_verb_can_show_the_kubectl_that_does_the_same(user: User, words: str, kubectl: str) -> None:
    if "follow" in kubectl:
        user.cluster.answers[f"{BASE}/logs"] = [b""]
    assert command.main([*words.split(), "--show-kubectl"]) == 0
    assert user.notes == [f"$ {kubectl}"]  # beside the output, which may go into a file


def test_a_verb_does_not_teach_unasked(user: User) -> None:
    assert command.main(["logs", "words/raven"]) == 0
    assert (user.out.text, user.notes) == ("hello\n", [])


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ForbiddenError('jobs is forbidden: User "jane" cannot list', 403), 1, "error: jobs is forbidden"),
        (BrokenPipeError(), 141, ""),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_an_expected_end_is_a_sentence_and_an_exit_code(
    user: User,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    error: BaseException,
    code: int,
    line: str,
) -> None:
    async def fail(*_: Any) -> int:
        raise error

    monkeypatch.setattr(command, "_run", fail)
    monkeypatch.setattr("os.dup2", lambda *_: None)
    assert command.main(["get", "jobs"]) == code
    assert capfd.readouterr().err.startswith(line)


def test_a_name_in_all_namespaces_is_wrong_usage(user: User, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["get", "job", "words", "-A"]) == 2
    assert capsys.readouterr().err == "error: a NAME is of one namespace: leave out --all-namespaces\n"


@pytest.mark.parametrize("words", [["wait", "words", "--timeout", "soon"], ["get", "cakes"], []])
def test_wrong_words_are_refused_by_the_parser(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        command.main(words)
    assert caught.value.code == 2
    assert "usage: kubectl batch" in capsys.readouterr().err


def _run(*words: str, kubeconfig: Path) -> subprocess.CompletedProcess[str]:
    environment = {"KUBECONFIG": str(kubeconfig), "PATH": "/usr/bin:/bin", "PYTHONPATH": "operator"}
    root = Path(__file__).parents[2]
    return subprocess.run(
        [sys.executable, "-m", "batchpools.cli", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=environment,
        cwd=root,
    )


def test_without_a_cluster_there_is_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    done = _run("get", kubeconfig=tmp_path / "none")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: no cluster to talk to: ")
    assert "Traceback" not in done.stderr


def test_help_needs_no_cluster(tmp_path: Path) -> None:
    done = _run("--help", kubeconfig=tmp_path / "none")
    assert done.returncode == 0
    for verb in ("get", "logs", "wait", "explain", "autoscale"):
        assert verb in done.stdout
