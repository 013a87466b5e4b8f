"""Stories of hostile tasks: what they try with the node, the runner, the hub and the API server, and that it was refused.

Their programs are in `e2e/hostile`. One pool in a namespace of restricted pods serves all of them, in any order, so that what one
spoils another would see.
"""

import base64
import json
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from batchpools.link import messages as link
from batchpools.link.framing import decode_from_hub, encode
from e2e.operator_install import NAMESPACE, Installation
from e2e.stories import Namespace, job, pool, sh, until

_PROGRAMS = Path(__file__).parent / "hostile"
_DENIED = {"EACCES", "EPERM"}
_AWAY = {*_DENIED, "ENOENT", "ESRCH", "ENOTDIR"}


# `baseline`: the same tasks in a pool that allows elevated ones, of which these are none. For people: it takes as long again.
_SECURITY = os.environ.get("HOSTILE_GROUND", "restricted")


@pytest.fixture(scope="module")
def ground(operator: Installation) -> Iterator[Namespace]:
    """A namespace of restricted pods, with one node."""
    space = Namespace(f"e2e-hostile-{secrets.token_hex(2)}", operator.kubeconfig, operator.kubectl_program)
    operator.kubectl("create", "namespace", space.name)
    operator.kubectl("label", "namespace", space.name, f"pod-security.kubernetes.io/enforce={_SECURITY}")
    space.apply(pool(slots=2, allowElevated=_SECURITY == "baseline"))
    space.ready_pool("demo", 1)
    yield space
    space.kubectl("delete", "bjob,bpool", "--all", "--wait=true", "--timeout=120s")
    operator.kubectl("delete", "namespace", space.name, "--wait=false")


def attack(ground: Namespace, program: str, *arguments: str) -> Any:
    """What a hostile program printed, after it has run to its end as a task of its own."""
    status, name = run_attack(ground, program, *arguments)
    assert status["result"] == "Success", ground.output(f"{name}/one", "--stderr")
    return json.loads(ground.output(f"{name}/one"))


def run_attack(ground: Namespace, program: str, *arguments: str) -> tuple[dict[str, Any], str]:
    """(the task's status at its end, its job) of a hostile program."""
    name = f"{program.replace('_', '-')}-{secrets.token_hex(2)}"
    source = (_PROGRAMS / f"{program}.py").read_text()
    ground.apply(job(name, [{"id": "one", "command": ["python3", "-c", source, *arguments]}]))
    return ground.finished("btask", f"{name}.one"), name


def node(ground: Namespace) -> dict[str, Any]:
    """The node's status."""
    return ground.status("bnode", "demo-0000")


def test_no_path_leads_a_task_to_the_nodes_token(ground: Namespace) -> None:
    told = attack(ground, "credentials")
    looked = told["looked"]
    assert len(looked) > 6
    assert set(looked.values()) <= _AWAY, looked
    assert looked["/proc/1/environ"] in _DENIED
    assert looked["/batchpools/token/token"] == "ENOENT"
    assert told["found"] == []


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("/batchpools/token/token",), id="token"),
        pytest.param(("/etc/passwd",), id="a file outside"),
        pytest.param(("/proc/self/environ",), id="the runner's own environment"),
        pytest.param(("../../../../../../etc/passwd",), id="a relative path outside"),
        pytest.param(("/etc/passwd", "/etc"), id="the directory itself"),
    ],
)
def test_output_that_is_a_link_shows_nothing(ground: Namespace, arguments: tuple[str, ...]) -> None:
    status, name = run_attack(ground, "links", *arguments)
    may_move_it = _SECURITY == "restricted" or len(arguments) == 1  # else its directory lies in one of root's
    assert status["result"] == ("Success" if may_move_it else "Failure")
    for flags in ((), ("--stderr",)):
        shown = ground.batch("logs", f"{name}/one", *flags, check=False)
        assert shown.stdout == "", shown.stdout
        assert shown.stderr != ""
        assert "root:" not in shown.stderr
    assert node(ground)["state"] in {"Idle", "Running"}


def test_the_api_server_knows_no_task(ground: Namespace) -> None:
    answers = attack(ground, "api_server")
    assert len(answers) == 8
    assert set(answers.values()) <= {"401", "403"}, answers


def test_the_runner_listens_to_no_task_and_cannot_be_replaced(ground: Namespace) -> None:
    told = attack(ground, "runner")
    assert told["speak"] in {"closed", "ECONNRESET", "EPIPE"}, told
    assert told["take"] == "EADDRINUSE"
    for way in ("open", "unlink", "rename", "beside", "chmod"):
        assert told[way] in {*_DENIED, "EROFS"}, (way, told)
    assert told["by PID 1"] in {*_DENIED, "EROFS", "ETXTBSY"}
    pod = node(ground)["podName"]
    assert "evil" not in ground.kubectl("exec", pod, "-c", "task", "--", "ls", "/mnt/batch/shared")


def test_the_first_process_of_a_node_cannot_be_traced_frozen_or_ended(ground: Namespace) -> None:
    before = node(ground)
    seen = attack(ground, "first_process")
    assert seen["told"].pop("interrupt") in {*_DENIED, "ESRCH"}  # nobody's tracee
    assert set(seen["told"].values()) <= _DENIED, seen
    assert {"SIGTERM", "SIGSTOP", "SIGKILL", "SIGSEGV", "SIGUSR1"} <= seen["sent"].keys()
    # allowed among processes of one user, and of no effect; the first process of a pool that allows elevated tasks is root's
    assert set(seen["sent"].values()) <= {"got None", "EPERM"}, seen
    assert _SECURITY != "restricted" or set(seen["sent"].values()) == {"got None"}, seen
    assert seen["state"].split()[1] in {"S", "R"}
    assert attack(ground, "credentials")
    assert (node(ground)["podUID"], node(ground)["bootID"]) == (before["podUID"], before["bootID"])


def test_the_hub_hangs_up_on_a_task_that_plays_the_node(ground: Namespace) -> None:
    stolen = link.Hello(link.PROTOCOL_VERSION, "made.up.token", "1", (1 << 31) - 1)
    older = link.Hello(1, "made.up.token", "1", 0)
    inventory = link.Inventory(1, "boot", [], [])
    frames = [encode([stolen]), encode([older]), encode([inventory]), b"no frame at all"]
    host = f"batchpools-hub.{NAMESPACE}.svc"
    seen = attack(ground, "hub", host, *(base64.b64encode(frame).decode() for frame in frames))

    codes = [refusal_in(base64.b64decode(answer)) for answer in seen["answers"]]
    assert codes == ["BadToken", "BadProtocol", "BadFrame", "BadFrame"]
    assert seen["silent in TLS"] < 8
    assert seen["silent in TCP"] < 8
    ground.ready_pool("demo", 1)
    assert attack(ground, "api_server")  # the made-up epoch has unseated nobody


def refusal_in(answer: bytes) -> str:
    """The code of the refusal in the first frame of a WebSocket's answer."""
    size = answer[1]
    start = 4 if size == 126 else 2
    length = int.from_bytes(answer[2:4], "big") if size == 126 else size
    messages = decode_from_hub(answer[start : start + length])
    return str(next(msgspec.to_builtins(one)[1] for one in messages if isinstance(one, link.Refused)))


def test_what_a_task_leaves_behind_ends_with_it(ground: Namespace) -> None:
    script = "setsid sleep 801 & (setsid sh -c 'sleep 802 &') & nohup sleep 803 >/dev/null 2>&1 & exit 0"
    ground.apply(job("leaver", [sh("one", script)]))
    assert ground.finished("btask", "leaver.one")["result"] == "Success"
    assert ground.processes(node(ground)["podName"], "sleep") == []


def test_what_hides_from_its_end_is_gone_when_the_node_holds_no_task(ground: Namespace) -> None:
    """A clean environment hides a process from the search for its task's; it may live while other tasks of the node do."""
    ground.apply(job("guard", [sh("one", "while ! test -e $AZ_BATCH_NODE_SHARED_DIR/leave; do sleep 0.1; done")]))
    ground.wait_for("btask", "guard.one", lambda status: status["state"] == "Running")
    ground.apply(job("hider", [sh("one", "env -i setsid sleep 811 & env -i setsid sh -c 'sleep 812 &'; exit 0")]))
    assert ground.finished("btask", "hider.one")["result"] == "Success"
    pod = node(ground)["podName"]
    assert {"sleep 811", "sleep 812"} <= set(ground.processes(pod, "sleep"))

    ground.kubectl("exec", pod, "-c", "task", "--", "touch", "/mnt/batch/shared/leave")
    ground.finished("btask", "guard.one")
    until(lambda: not {"sleep 811", "sleep 812"} & set(ground.processes(pod, "sleep")), "the hidden are gone", 20)


def test_a_task_that_slowly_takes_all_memory_is_ended_before_its_neighbours(ground: Namespace) -> None:
    """10 MB in 100 ms; the node has a pool of its own, with a limit."""
    grow = "import os, time\nheld = []\nwhile True: held.append(os.urandom(1) * (10 << 20)); time.sleep(0.1)"
    neighbour = "echo $AZ_BATCH_TASK_EXECUTION_ID >> $AZ_BATCH_NODE_SHARED_DIR/neighbours; sleep 20"
    limits = {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "192Mi"}}
    ground.apply(pool("small", slots=4, resources=limits))
    tasks = [sh(f"n{number}", neighbour) for number in range(3)]
    ground.apply(job("greed", [*tasks, {"id": "greedy", "command": ["python3", "-c", grow]}], pool_name="small"))

    greedy = ground.finished("btask", "greed.greedy")
    assert (greedy["result"], greedy["exitCode"], greedy["failureInfo"]["code"]) == ("Failure", 137, "OutOfMemory")
    for one in tasks:
        status = ground.finished("btask", f"greed.{one['id']}")
        assert (status["result"], status["attempt"], status.get("requeueCount", 0)) == ("Success", 1, 0)
