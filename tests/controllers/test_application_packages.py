"""Pools with application packages, over informers and applier: missing ones are waited for, changed ones reach other pods."""

import json
from typing import Any

from tests.controllers.pool_stage import NS, Replica, delete, live, pass_time, play, pod_dies, pod_runs

from batchpools.api import names
from batchpools.core.node_config import NODE_CONFIG_ENV
from batchpools.core.views import ApplicationPackageReference, PackageVersion
from batchpools.hub.port import NodeIdentity, SessionInfo
from batchpools.kube.resources import APPLICATION_PACKAGES, PODS, POOL_NODES, POOLS
from batchpools.link.messages import NodeReport
from batchpools.testing import builders
from batchpools.testing.fake_kube import FakeKube

NEEDS: dict[str, Any] = {"application_package_references": (ApplicationPackageReference(name="blender"),)}


def condition(kube: FakeKube, resource: Any, name: str, kind: str) -> dict[str, Any]:
    held = kube.object(resource, NS, name)
    assert held is not None
    return next((one for one in held["status"]["conditions"] if one["type"] == kind), {})


def told(kube: FakeKube, pod: str) -> list[dict[str, Any]]:
    """The packages that a pod's agent is told of."""
    held = kube.object(PODS, NS, pod)
    assert held is not None
    agent = next(one for one in held["spec"]["initContainers"] if one["name"] == names.AGENT_CONTAINER)
    config = json.loads(next(one["value"] for one in agent["env"] if one["name"] == NODE_CONFIG_ENV))
    return list(config["packages"])


def agent_says(kube: FakeKube, replica: Replica, pod: str, report: NodeReport) -> None:
    held = kube.object(PODS, NS, pod)
    assert held is not None
    identity = NodeIdentity(NS, "demo", pod.rpartition("-")[0], pod, held["metadata"]["uid"])
    replica.hub.connected = {held["metadata"]["uid"]: SessionInfo(identity, report, 1)}
    replica.wake_node(pod.rpartition("-")[0])


async def up(kube: FakeKube, replica: Replica, pod: str = "demo-0000-1") -> None:
    kube.bind_pod(NS, pod, "machine")
    pod_runs(kube, pod)
    agent_says(kube, replica, pod, NodeReport("Ready", "boot", 1, None, ""))
    await pass_time()


def test_a_pool_waits_for_its_packages_and_goes_on_when_they_are_there() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1, **NEEDS)))
        await pass_time()
        stalled = condition(kube, POOLS, "demo", "Stalled")
        assert (stalled["status"], stalled["reason"]) == ("True", "InvalidApplicationPackageReferences")
        assert stalled["message"] == "Application package blender does not exist."
        assert live(kube, POOL_NODES) == []

        kube.seed(builders.manifest(builders.package("blender", default_version="")))
        await pass_time()
        assert "has no default version" in condition(kube, POOLS, "demo", "Stalled")["message"]

        value = {"op": "add", "path": "/spec/defaultVersion", "value": "4.2"}
        await kube.patch(APPLICATION_PACKAGES, NS, "blender", [value])
        await pass_time()
        assert condition(kube, POOLS, "demo", "Stalled")["status"] == "False"
        (package,) = told(kube, "demo-0000-1")
        assert (package["name"], package["version"], package["isDefault"]) == ("blender", "4.2", True)
        assert condition(kube, APPLICATION_PACKAGES, "blender", "Verified")["reason"] == "PackageNotUsed"

        await up(kube, replica)
        verified = condition(kube, APPLICATION_PACKAGES, "blender", "Verified")
        assert (verified["status"], verified["reason"]) == ("True", "PackageVerified")

    play(story)


def test_packages_that_go_disturb_no_node_that_runs_and_its_next_pod_waits_for_them() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.package("blender")))
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1, **NEEDS)))
        await pass_time()
        await up(kube, replica)
        await delete(kube, APPLICATION_PACKAGES, "blender")
        await pass_time(60)
        assert condition(kube, POOLS, "demo", "Stalled")["status"] == "True"
        assert live(kube, PODS) == ["demo-0000-1"]
        held = kube.object(POOL_NODES, NS, "demo-0000")
        assert held is not None
        assert held["status"]["state"] == "Idle"

        await replica.stop()
        second = Replica(kube, replica.clock)
        kube.seed(builders.manifest(builders.package("blender")))
        await second.start()
        await pass_time()
        assert condition(kube, POOLS, "demo", "Stalled")["status"] == "False"
        await second.stop()

    play(story)


def test_a_package_that_a_node_cannot_have_is_said_on_node_and_package_and_after_its_reboot_it_has_the_mended_one() -> (
    None
):
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.package("blender")))
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1, **NEEDS)))
        await pass_time()
        kube.bind_pod(NS, "demo-0000-1", "machine")
        pod_runs(kube, "demo-0000-1")
        sentence = "Application package blender 4.2: https://files.example/blender.zip was answered with 404 Not Found."
        report = NodeReport("Starting", "", 1, None, sentence, code="ApplicationPackageError")
        agent_says(kube, replica, "demo-0000-1", report)
        await pass_time()
        held = kube.object(POOL_NODES, NS, "demo-0000")
        assert held is not None
        assert held["status"]["state"] == "Unusable"
        assert held["status"]["errors"] == [{"code": "ApplicationPackageError", "message": sentence}]
        verified = condition(kube, APPLICATION_PACKAGES, "blender", "Verified")
        assert (verified["status"], verified["reason"]) == ("False", "ApplicationPackageError")
        assert verified["message"] == sentence

        mended = builders.manifest(
            builders.package("blender", versions=(PackageVersion(version="4.2", url="https://files.example/b.zip"),))
        )
        value = {"op": "replace", "path": "/spec/versions", "value": mended["spec"]["versions"]}
        await kube.patch(APPLICATION_PACKAGES, NS, "blender", [value])
        await pass_time(60)
        assert live(kube, PODS) == ["demo-0000-1"], "it reaches nodes as they restart"
        action = {"type": "Reboot", "requestId": "1", "option": "Requeue"}
        await kube.patch(POOL_NODES, NS, "demo-0000", [{"op": "add", "path": "/spec/action", "value": action}])
        await pass_time()
        pod_dies(kube, "demo-0000-1")
        kube.end_pod(NS, "demo-0000-1")
        await pass_time(20)
        assert live(kube, PODS) == ["demo-0000-2"]
        assert told(kube, "demo-0000-2")[0]["url"] == "https://files.example/b.zip"
        await up(kube, replica, "demo-0000-2")
        assert condition(kube, APPLICATION_PACKAGES, "blender", "Verified")["status"] == "True"
        held = kube.object(APPLICATION_PACKAGES, NS, "blender")
        assert held is not None
        assert held["status"]["versions"][0].get("message", "") == ""

    play(story)


def test_what_a_node_said_of_a_package_is_told_no_more_when_its_pool_does_not_name_it_any_more() -> None:
    async def story(kube: FakeKube, replica: Replica) -> None:
        kube.seed(builders.manifest(builders.package("blender")))
        kube.seed(builders.manifest(builders.pool("demo", target_dedicated_nodes=1, **NEEDS)))
        await pass_time()
        kube.bind_pod(NS, "demo-0000-1", "machine")
        pod_runs(kube, "demo-0000-1")
        report = NodeReport(
            "Starting", "", 1, None, "Application package blender 4.2: no.", code="ApplicationPackageError"
        )
        agent_says(kube, replica, "demo-0000-1", report)
        await pass_time()
        assert condition(kube, APPLICATION_PACKAGES, "blender", "Verified")["reason"] == "ApplicationPackageError"
        await kube.patch(POOLS, NS, "demo", [{"op": "remove", "path": "/spec/applicationPackageReferences"}])
        await pass_time()
        assert condition(kube, APPLICATION_PACKAGES, "blender", "Verified")["reason"] == "PackageNotUsed"

    play(story)
