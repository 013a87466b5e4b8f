"""A pool that allows elevated tasks: the rights of its pods, whom runs become, and a namespace that takes no such pods."""

from dataclasses import replace
from typing import Any

import pytest
from tests.core.pools.situations import NOW, SETTINGS, node, pool

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.plan import Create
from batchpools.core.pools.elevation import is_forbidden, rehearsal
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.pools.pool_plan import REFUSED_AGAIN, plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.upgrade import is_outdated
from batchpools.core.views import PoolView, StartTask

SENTENCE = 'pods "p-elevation" is forbidden: violates PodSecurity "restricted:latest": runAsUser=0'


def pod_of(view: PoolView, **settings: Any) -> dict[str, Any]:
    made = create_pod(view, node(), 1, replace(SETTINGS, **settings)).manifest["spec"]
    return dict(made)


def containers(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {one["name"]: one for one in (*spec["initContainers"], *spec["containers"])}


def option(container: dict[str, Any], name: str) -> str:
    words = container["command"]
    return str(words[words.index(name) + 1]) if name in words else ""


def test_the_runner_is_root_in_a_user_namespace_and_is_told_whom_runs_are() -> None:
    spec = pod_of(pool(allow_elevated=True, start_task=StartTask(command=("true",))))
    assert spec["hostUsers"] is False
    found = containers(spec)
    for name in (names.TASK_CONTAINER, names.START_TASK_CONTAINER):
        security = found[name]["securityContext"]
        assert security == {"runAsUser": 0, "runAsGroup": 0, "runAsNonRoot": False, "allowPrivilegeEscalation": False}
        assert option(found[name], "--task-user") == "1000:1000:1000"
    for name in (names.AGENT_CONTAINER, names.INSTALL_CONTAINER):
        security = found[name]["securityContext"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["runAsUser"] == names.AGENT_UID
    assert spec["securityContext"]["runAsNonRoot"] is True, "of all that does not say otherwise"


def test_without_it_nobody_is_root() -> None:
    spec = pod_of(pool())
    assert "hostUsers" not in spec
    task = containers(spec)[names.TASK_CONTAINER]
    assert task["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert option(task, "--task-user") == ""


def test_without_user_namespaces_the_container_alone_holds_its_root() -> None:
    view = pool(allow_elevated=True)
    assert "hostUsers" not in pod_of(view, user_namespaces=False)
    template = {"spec": {"hostUsers": True, "containers": [{"name": "task", "image": "x"}]}}
    assert pod_of(pool(image="", template=template, allow_elevated=True))["hostUsers"] is True, "the pool's word counts"


@pytest.mark.parametrize(
    ("pod", "container", "user"),
    [
        ({}, {}, "1000:1000:1000"),
        ({"runAsUser": 7, "runAsGroup": 8, "fsGroup": 9, "supplementalGroups": [10, 9]}, {}, "7:8:9,10"),
        ({"runAsUser": 7}, {"runAsUser": 70, "runAsGroup": 80, "readOnlyRootFilesystem": True}, "70:80:1000"),
    ],
    ids=str,
)
def test_runs_are_the_templates_users(pod: dict[str, Any], container: dict[str, Any], user: str) -> None:
    task = {"name": "task", "image": "x", "securityContext": container}
    view = pool(image="", template={"spec": {"securityContext": pod, "containers": [task]}}, allow_elevated=True)
    made = containers(pod_of(view))[names.TASK_CONTAINER]
    assert option(made, "--task-user") == user
    assert made["securityContext"]["runAsUser"] == 0
    assert made["securityContext"].get("readOnlyRootFilesystem", False) == bool(container)


def test_nodes_that_were_made_before_get_other_pods_and_a_pool_without_it_is_as_it_was() -> None:
    assert pod_hash(pool(allow_elevated=True).spec) != pod_hash(pool().spec)
    old = node(pod_uid="u", state="Idle", template_hash=pod_hash(pool().spec))
    assert is_outdated(old, pool(allow_elevated=True))


def test_a_namespace_that_takes_no_such_pods_is_said_and_no_node_is_made() -> None:
    view = pool(2, allow_elevated=True)
    plan = plan_pool(PoolSituation(view, elevation=SENTENCE), now=NOW)
    assert not [one for one in plan.effects if isinstance(one, Create)]
    assert plan.status is not None
    for type_, status in (("Stalled", "True"), ("Ready", "False")):
        told = find_condition(plan.status.conditions, type_)
        assert told is not None
        assert (told.status, told.reason, told.message) == (status, "ElevationForbidden", SENTENCE)
    assert plan.requeue_after is not None
    assert plan.requeue_after <= REFUSED_AGAIN, "the namespace may be opened, and nothing tells us"
    fine = plan_pool(PoolSituation(view), now=NOW)
    assert len([one for one in fine.effects if isinstance(one, Create)]) == 2


def test_nodes_that_are_there_are_not_renewed_for_a_pod_that_nobody_takes() -> None:
    view = pool(1, allow_elevated=True)
    old = node(pod_uid="u", state="Idle", template_hash=pod_hash(pool().spec))
    assert plan_pool(PoolSituation(view, (old,), elevation=SENTENCE), now=NOW).effects == ()
    assert plan_pool(PoolSituation(view, (old,)), now=NOW).effects != ()


def test_the_rehearsal_has_the_rights_of_a_node_and_a_quota_is_no_answer_to_it() -> None:
    asked = rehearsal(pool(allow_elevated=True))
    node_pod = pod_of(pool(allow_elevated=True))
    (container,) = asked["spec"]["containers"]
    assert container["securityContext"] == node_pod["containers"][0]["securityContext"]
    assert asked["spec"]["securityContext"] == node_pod["securityContext"]
    assert is_forbidden(SENTENCE)
    assert not is_forbidden('pods "x" is forbidden: exceeded quota: q, requested: pods=1')
