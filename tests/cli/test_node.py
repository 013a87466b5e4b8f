"""`kubectl batch node ...`: which fields are set, what is refused with a sentence, and what a removal does to the target."""

from typing import Any

import pytest
from msgspec.structs import replace
from tests.cli.stage import User

from batchpools.cli.__main__ import parse
from batchpools.cli.access import CliError
from batchpools.cli.shell import command_for
from batchpools.core.views import PoolNodeSpec, PoolNodeStatus
from batchpools.kube.errors import NotFoundError
from batchpools.kube.resources import POOL_NODES, POOLS
from batchpools.testing import builders

NODE = "demo-0000"


def user(target: int = 2, **spec: Any) -> User:
    node = builders.node(NODE, pool_name="demo")
    return User(
        builders.pool("demo", target_dedicated_nodes=target),
        replace(node, spec=PoolNodeSpec(pool_name="demo", **spec)),
    )


def spec_of(who: User) -> dict[str, Any]:
    held = who.cluster.object(POOL_NODES, builders.NAMESPACE, NODE)
    assert held is not None
    return dict(held["spec"])


def target_of(who: User) -> int:
    held = who.cluster.object(POOLS, builders.NAMESPACE, "demo")
    assert held is not None
    return int(held["spec"].get("targetDedicatedNodes", 0))


async def test_a_node_is_disabled_with_its_option_and_enabled_again() -> None:
    who = user()
    assert await who.types("node", "disable", NODE, "--option", "TaskCompletion") == 0
    assert (spec_of(who)["schedulingState"], spec_of(who)["schedulingDisableOption"]) == ("Disabled", "TaskCompletion")
    assert await who.types("node", "enable", NODE) == 0
    assert spec_of(who)["schedulingState"] == "Enabled"


@pytest.mark.parametrize(("verb", "state"), [("disable", "Disabled"), ("enable", "Enabled")])
async def test_what_is_so_already_is_refused_with_azures_code(verb: str, state: str) -> None:
    who = user(scheduling_state=state)
    with pytest.raises(CliError, match=f"is {state.lower()} already .NodeAlreadyInTargetSchedulingState"):
        await who.types("node", verb, NODE)


@pytest.mark.parametrize(("verb", "type_"), [("reboot", "Reboot"), ("reimage", "Reimage")])
async def test_each_request_of_an_action_is_a_new_one(verb: str, type_: str) -> None:
    who = user()
    await who.types("node", verb, NODE, "--option", "Terminate")
    first = spec_of(who)["action"]
    assert (first["type"], first["option"], target_of(who)) == (type_, "Terminate", 2)
    who.clock.advance(1.0)
    await who.types("node", verb, NODE)
    assert spec_of(who)["action"]["requestId"] != first["requestId"]
    assert spec_of(who)["action"]["option"] == "Requeue"


@pytest.mark.parametrize(("target", "left"), [(2, 1), (0, 0)])
async def test_a_removal_lowers_the_target_that_there_is(target: int, left: int) -> None:
    who = user(target)
    assert await who.types("node", "remove", NODE) == 0
    assert (spec_of(who)["action"]["type"], target_of(who)) == ("Remove", left)
    assert bool(who.notes) == (target == 0)


async def test_the_raw_command_is_taught() -> None:
    who = user()
    await who.types("node", "disable", NODE, "--show-kubectl")
    (line,) = who.notes
    assert line.startswith("$ kubectl patch -n default poolnodes.batchpools.dev demo-0000 --type merge -p ")


async def test_a_node_that_is_not_there_is_said_not_to_be() -> None:
    with pytest.raises(NotFoundError):
        await user().types("node", "reboot", "nobody")


async def test_retained_data_is_no_option_of_disable() -> None:
    with pytest.raises(CliError, match="Requeue, Terminate or TaskCompletion"):
        await user().types("node", "disable", NODE, "--option", "RetainedData")


def test_a_shell_is_kubectls_in_the_task_container_with_the_nodes_variables() -> None:
    node = builders.node(NODE, pool_name="demo", status=PoolNodeStatus(pod_name="demo-0000-3"))
    node = replace(node, metadata=replace(node.metadata, namespace="ns"))
    marks = {"batchpools.dev/application-packages": "blender/4.2*=0a my-tool/1.0=0b"}
    pod = builders.pod("demo-0000-3", metadata=builders.meta("demo-0000-3", annotations=marks))
    words = command_for(node, pod, ["ls", "-l"], terminal=False)
    assert words[:9] == ["kubectl", "exec", "-i", "-n", "ns", "demo-0000-3", "-c", "task", "--"]
    assert words[9:12] == ["/batchpools/bin/runner", "shell", "/mnt/batch"]
    assert words[-3:] == ["--", "ls", "-l"]
    assert {"AZ_BATCH_NODE_ID=demo-0000", "AZ_BATCH_POOL_ID=demo", "AZ_BATCH_NODE_SHARED_DIR=/mnt/batch/shared"} <= set(
        words
    )
    assert [one for one in words if one.startswith("AZ_BATCH_APP_PACKAGE_")] == [
        "AZ_BATCH_APP_PACKAGE_blender_4_2=/mnt/batch/applications/blender/4.2",
        "AZ_BATCH_APP_PACKAGE_blender=/mnt/batch/applications/blender/4.2",
        "AZ_BATCH_APP_PACKAGE_my_tool_1_0=/mnt/batch/applications/my-tool/1.0",
    ]
    assert "-it" in command_for(node, pod, [], terminal=True)
    other = command_for(node, pod, ["ls"], terminal=False, container="tool")
    assert other[6:8] == ["-c", "tool"]
    assert parse(["exec", NODE, "--container", "tool"]).container == "tool"
    assert parse(["exec", NODE]).container == "task"


async def test_a_node_without_a_pod_has_no_shell() -> None:
    with pytest.raises(CliError, match="has no pod"):
        await user().types("exec", NODE)


@pytest.mark.parametrize("words", [["-n", "ns", NODE], [NODE, "-n", "ns"], ["--namespace=ns", NODE]])
def test_options_may_stand_on_either_side_of_the_node_and_the_command_is_taken_as_it_is(words: list[str]) -> None:
    options = parse(["exec", *words, "--", "sh", "-c", "ls -n", "--"])
    assert (options.node, options.namespace, options.command) == (NODE, "ns", ["sh", "-c", "ls -n", "--"])
    assert parse(["exec", *words]).command == []
