"""Application packages of a pool: in its nodes' pods, and what keeps its nodes from being made or makes them unusable."""

from typing import Any

import msgspec
from kubernetes_validate.utils import validate
from msgspec.structs import replace
from tests.core.pools.situations import NOW, RUNNING, SETTINGS, assert_unusable_until_there, node, pod, pool, situation
from tests.core.pools.test_node_action import LIVING, SEEN, Story, asked
from tests.core.pools.test_node_pod import containers

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig, PackageConfig
from batchpools.core.packages.marks import marks
from batchpools.core.packages.resolution import Packages
from batchpools.core.plan import Create, Delete, RestartNode
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.node_state import Report
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.views import ApplicationPackageReference, PodView, StartTask

WEB = PackageConfig("blender", "4.2", "0a", url="https://files.example/blender.zip", is_default=True)
HELD = PackageConfig("tool", "1", "0b", config_map="tools")
MISSING = Packages(missing="Application package blender does not exist.")


def mounts(manifest: dict[str, Any], container: str) -> dict[str, dict[str, Any]]:
    return {one["mountPath"]: one for one in containers(manifest)[container]["volumeMounts"]}


def test_the_agent_alone_writes_packages_start_task_and_tasks_read_them() -> None:
    view = pool(start_task=StartTask(command=("true",)))
    made = dict(create_pod(view, node(), 1, SETTINGS, (WEB, HELD)).manifest)
    validate(made, "1.37", strict=True)
    volumes = {one["name"]: one for one in made["spec"]["volumes"]}
    assert volumes["batchpools-packages"]["emptyDir"] == {}
    assert volumes["batchpools-package-0"]["configMap"] == {"name": "tools", "optional": True}
    for container in ("start-task", "task"):
        seen = mounts(made, container)
        assert seen["/mnt/batch/applications"] == {
            "name": "batchpools-packages", "mountPath": "/mnt/batch/applications", "readOnly": True
        }  # fmt: skip
        assert not [path for path in seen if "application-sources" in path]
    agents = mounts(made, "agent")
    assert "readOnly" not in agents["/batchpools/applications"]
    assert agents["/batchpools/application-sources/tools"]["readOnly"]
    assert "/mnt/batch" not in agents
    assert "/mnt/batch/applications" not in mounts(made, "install-runner")


def test_the_agent_is_told_what_the_references_mean_and_the_pod_says_it_too() -> None:
    made = dict(create_pod(pool(), node(), 1, SETTINGS, (WEB, HELD)).manifest)
    told = next(one["value"] for one in containers(made)["agent"]["env"] if one["name"] == NODE_CONFIG_ENV)
    assert msgspec.json.decode(told, type=NodeConfig).packages == [WEB, HELD]
    assert made["metadata"]["annotations"][names.ANNOTATION_PACKAGES] == "blender/4.2*=0a tool/1=0b"
    plain = dict(create_pod(pool(), node(), 1, SETTINGS).manifest)
    assert names.ANNOTATION_PACKAGES not in plain["metadata"]["annotations"]


def test_a_changed_list_rolls_nobody() -> None:
    changed = pool(application_package_references=(ApplicationPackageReference(name="blender"),))
    assert pod_hash(changed.spec) == pod_hash(pool().spec)


def test_a_pool_whose_packages_are_missing_is_stalled_makes_no_node_and_disturbs_none() -> None:
    plan = plan_pool(PoolSituation(pool(2), (node(0, state="Running"),), packages=MISSING), now=NOW)
    assert not [one for one in plan.effects if isinstance(one, Create | Delete)]
    assert plan.status is not None
    stalled = find_condition(plan.status.conditions, "Stalled")
    assert stalled is not None
    assert (stalled.status, stalled.reason) == ("True", "InvalidApplicationPackageReferences")
    assert stalled.message == MISSING.missing
    there = plan_pool(PoolSituation(pool(2), (node(0, state="Running"),), packages=Packages((WEB,))), now=NOW)
    assert [one.key.name for one in there.effects if isinstance(one, Create)] == ["p-0001"]
    assert there.status is not None
    told = find_condition(there.status.conditions, "Stalled")
    assert told is not None
    assert told.status == "False"


def test_a_node_without_a_pod_waits_for_missing_packages_and_says_so() -> None:
    waits = plan_node(situation(node(pod_name="p-0000-1", pod_generation=1), packages=MISSING), now=NOW)
    assert waits.effects == ()
    assert waits.status is not None
    assert waits.status.state == "Unusable"
    (error,) = waits.status.errors
    assert (error.code, error.message) == ("InvalidApplicationPackageReferences", MISSING.missing)
    goes_on = plan_node(situation(replace(node(), status=waits.status), packages=Packages((WEB,))), now=NOW)
    (made,) = goes_on.effects
    assert isinstance(made, Create)
    assert made.manifest["metadata"]["annotations"][names.ANNOTATION_PACKAGES] == "blender/4.2*=0a"


def test_a_package_that_cannot_be_had_makes_the_node_unusable_with_the_agents_words_until_it_is_there() -> None:
    told = Report("Starting", message="Application package blender 4.2: no.", code="ApplicationPackageError")
    assert_unusable_until_there(told, "ApplicationPackageError")


def test_a_code_that_we_do_not_know_is_a_missing_reference() -> None:
    told = Report("Starting", message="Something else.", code="Whatever")
    status = plan_node(situation(node(**SEEN), pod(task=RUNNING), report=told), now=NOW).status
    assert status is not None
    assert status.errors[0].code == "ReferenceMissing"


def with_packages(present: PodView, *packages: PackageConfig) -> PodView:
    told = {**present.metadata.annotations, names.ANNOTATION_PACKAGES: marks(packages)}
    return replace(present, metadata=replace(present.metadata, annotations=told))


def reboots_in_place(present: PodView, packages: Packages) -> bool:
    """Whether a node that is told to reboot keeps its pod."""
    story = Story(asked("Reboot"), present=present, empty=True)
    for _ in range(10):
        effects = story.step(packages=packages).effects
        if any(isinstance(one, RestartNode) for one in effects):
            return True
        if any(isinstance(one, Delete) for one in effects):
            return False
    raise AssertionError("it does neither")


def test_a_reboot_keeps_the_pod_only_while_its_packages_are_what_the_pool_wants() -> None:
    assert reboots_in_place(LIVING, Packages())
    assert reboots_in_place(with_packages(LIVING, WEB), Packages((WEB,)))
    assert not reboots_in_place(LIVING, Packages((WEB,)))
    assert not reboots_in_place(with_packages(LIVING, WEB), Packages())
    other = PackageConfig("blender", "4.2", "0c", url="https://files.example/mended.zip", is_default=True)
    assert not reboots_in_place(with_packages(LIVING, WEB), Packages((other,)))
    assert reboots_in_place(with_packages(LIVING, WEB), MISSING), "no other pod could begin"
