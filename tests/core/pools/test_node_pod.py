"""The pod of a node: whoever may do what in it, and what it cannot be made to do."""

import json
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from kubernetes_validate.utils import validate
from tests.core.pools.situations import SETTINGS, node, pool

from batchpools.api import names
from batchpools.core.node_config import NODE_CONFIG_ENV, NodeConfig
from batchpools.core.node_variables import node_variables
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.pools.template import read_template
from batchpools.core.pools.template_rules import refused
from batchpools.core.views import PoolSpec, PoolView, StartTask

LONG: dict[str, Any] = {
    "metadata": {"labels": {"team": "a"}, "annotations": {"note": "b"}},
    "spec": {
        "containers": [
            {
                "name": "task",
                "image": "x",
                "env": [{"name": "A", "value": "1"}],
                "volumeMounts": [{"name": "library", "mountPath": "/library"}],
            }
        ],
        "volumes": [{"name": "library", "configMap": {"name": "library"}}],
        "nodeSelector": {"disk": "ssd"},
        "affinity": {"podAntiAffinity": {}},
        "tolerations": [{"operator": "Exists"}],
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway"}
        ],
        "imagePullSecrets": [{"name": "pull"}],
        "priorityClassName": "low",
        "runtimeClassName": "gvisor",
        "serviceAccountName": "render",
        "hostUsers": False,
        "securityContext": {"runAsUser": 2000, "supplementalGroups": [7], "fsGroupChangePolicy": "OnRootMismatch"},
    },
}


def pod_of(view: PoolView) -> dict[str, Any]:
    return dict(create_pod(view, node(), 3, SETTINGS).manifest)


def containers(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    spec = manifest["spec"]
    return {one["name"]: one for one in (*spec["initContainers"], *spec["containers"])}


def test_it_is_a_valid_pod_in_both_forms() -> None:
    for settings, version in ((SETTINGS, "1.37"), (replace(SETTINGS, restarts=False), "1.33")):
        for view in (pool(start_task=StartTask(command=("true",))), pool(image="", template=LONG)):
            validate(dict(create_pod(view, node(), 3, settings).manifest), version, strict=True)


def test_the_kubelet_restarts_all_containers_when_the_runner_leaves_with_the_reserved_code_and_not_else() -> None:
    (task,) = pod_of(pool())["spec"]["containers"]
    (rule,) = task["restartPolicyRules"]
    assert rule == {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [77]}}
    assert not {*range(3), *range(125, 144)} & {77}  # what shells, runtimes and signals leave with
    (older,) = create_pod(pool(), node(), 3, replace(SETTINGS, restarts=False)).manifest["spec"]["containers"]
    assert not {"restartPolicy", "restartPolicyRules"} & older.keys()


def test_its_name_has_the_generation_and_it_is_held_until_it_is_confirmed_dead() -> None:
    manifest = pod_of(pool())
    assert manifest["metadata"]["name"] == "p-0000-3"
    assert manifest["metadata"]["finalizers"] == [names.FINALIZER_POD]
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "node-uid-0"


def test_only_the_agent_has_a_credential_and_no_container_an_api_token() -> None:
    manifest = pod_of(pool(start_task=StartTask(command=("true",))))
    assert manifest["spec"]["automountServiceAccountToken"] is False
    for name, container in containers(manifest).items():
        mounts = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert (names.VOLUME_TOKEN in mounts) == (name == names.AGENT_CONTAINER), name
        assert (names.VOLUME_AGENT in mounts) == (name == names.AGENT_CONTAINER), name
        assert not (name == names.AGENT_CONTAINER and names.VOLUME_ROOT in mounts)


def test_every_container_is_locked_down_and_the_runner_is_read_only() -> None:
    for name, container in containers(pod_of(pool(start_task=StartTask(command=("true",))))).items():
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False, name
        assert security["capabilities"] == {"drop": ["ALL"]}, name
        mounts = {mount["name"]: mount for mount in container.get("volumeMounts", [])}
        if name in {names.TASK_CONTAINER, names.START_TASK_CONTAINER}:
            assert mounts[names.VOLUME_BIN]["readOnly"] is True


def test_users_are_ours_by_default_and_the_templates_if_it_says_so() -> None:
    ours = pod_of(pool())["spec"]["securityContext"]
    assert (ours["runAsUser"], ours["fsGroup"], ours["runAsNonRoot"]) == (1000, 1000, True)
    assert pod_of(pool(image="", template=LONG))["spec"]["securityContext"]["runAsUser"] == 2000
    assert containers(pod_of(pool()))[names.AGENT_CONTAINER]["securityContext"]["runAsUser"] == names.AGENT_UID


def test_the_template_is_taken_over_and_our_labels_win() -> None:
    manifest = pod_of(pool(image="", template=LONG))
    assert manifest["metadata"]["labels"]["team"] == "a"
    assert manifest["metadata"]["labels"][names.LABEL_POOL] == "p"
    taken = ["nodeSelector", "affinity", "tolerations", "topologySpreadConstraints", "imagePullSecrets"]
    taken += ("priorityClassName", "runtimeClassName", "serviceAccountName", "hostUsers")
    for field in taken:
        assert manifest["spec"][field] == LONG["spec"][field], field
    assert LONG["spec"]["securityContext"].items() <= manifest["spec"]["securityContext"].items()
    task = containers(manifest)[names.TASK_CONTAINER]
    assert {"name": "library", "mountPath": "/library"} in task["volumeMounts"]
    assert task["command"][0] == names.RUNNER_PATH


def test_the_short_form_has_what_it_takes_to_pull_its_image() -> None:
    short = pool(resources={"limits": {"cpu": "1"}}, image_pull_secrets=({"name": "pull"},))
    made = pod_of(short)["spec"]
    assert made["imagePullSecrets"] == [{"name": "pull"}]
    assert made["containers"][0]["resources"] == {"limits": {"cpu": "1"}}


def test_the_start_task_sees_what_tasks_see_in_its_own_image() -> None:
    start = StartTask(command=("true",), image="setup:1")
    task = containers(pod_of(pool(image="", template=LONG, start_task=start)))[names.START_TASK_CONTAINER]
    assert task["image"] == "setup:1"
    assert {"name": "library", "mountPath": "/library"} in task["volumeMounts"]
    assert "start-task" in task["command"]


def test_the_agent_reads_back_what_it_is_told() -> None:
    start = StartTask(command_line="echo 'a b'", max_task_retry_count=2)
    agent = containers(pod_of(pool(task_slots_per_node=4, start_task=start)))[names.AGENT_CONTAINER]
    (told,) = (one["value"] for one in agent["env"] if one["name"] == NODE_CONFIG_ENV)
    config = msgspec.json.decode(told, type=NodeConfig)
    assert (config.node, config.slots, config.drain_timeout) == ("p-0000", 4, 30.0)
    assert config.start_task is not None
    assert config.start_task.argv == ["echo", "a b"]
    assert json.loads(told)["hubHost"] == "hub.ns.svc"


def test_the_grace_period_leaves_time_for_reports() -> None:
    """S6.3: the runner has left 10 s before the pod's time is over, whatever its runs do."""
    spec = pod_of(pool(drain_timeout="1m"))["spec"]
    assert spec["terminationGracePeriodSeconds"] == 75
    (task,) = spec["containers"]
    assert task["command"][task["command"].index("--stop-timeout") + 1] == "65s"


def test_a_nodes_disk_is_limited_kept_for_it_and_watched() -> None:
    """S8.5: the runner ends the largest run before the kubelet evicts the pod."""
    made = pod_of(
        pool(node_disk_size="10Gi", resources={"requests": {"cpu": "1"}}, start_task=StartTask(command=("a",)))
    )
    root = next(one for one in made["spec"]["volumes"] if one["name"] == names.VOLUME_ROOT)
    assert root["emptyDir"] == {"sizeLimit": "10Gi"}
    task, start = (containers(made)[name] for name in (names.TASK_CONTAINER, names.START_TASK_CONTAINER))
    assert task["resources"] == {"requests": {"cpu": "1", "ephemeral-storage": "10Gi"}}
    for one in (task, start):
        assert one["command"][one["command"].index("--disk-limit") + 1] == str(10 << 30)
    assert "--disk-limit" not in containers(pod_of(pool()))[names.TASK_CONTAINER]["command"]
    own = {"requests": {"ephemeral-storage": "1Gi"}}
    kept = containers(pod_of(pool(node_disk_size="10Gi", resources=own)))[names.TASK_CONTAINER]
    assert kept["resources"] == own


def long(**spec: Any) -> PoolSpec:
    """The long form with parts of its spec replaced; `task` replaces parts of the container."""
    container = {**LONG["spec"]["containers"][0], **spec.pop("task", {})}
    return PoolSpec(template={"spec": {**LONG["spec"], "containers": [container], **spec}})


def with_tool(**tool: Any) -> PoolSpec:
    """A second container, beside the one that is called `task`."""
    return PoolSpec(
        template={"spec": {"containers": [{"name": "tool", "image": "y", **tool}, {"name": "task", "image": "x"}]}}
    )


def test_each_further_container_has_a_runner_of_its_own_and_the_task_container_stays_the_first() -> None:
    spec = with_tool(env=[{"name": "A", "value": "1"}], securityContext={"readOnlyRootFilesystem": True})
    view = pool(image="", template=spec.template, node_disk_size="1Gi")
    task, tool = pod_of(view)["spec"]["containers"]
    assert (task["name"], task["image"], tool["name"], tool["image"]) == ("task", "x", "tool", "y")
    sockets = [one["command"][one["command"].index("--socket") + 1] for one in (task, tool)]
    assert sockets == ["@batchpools-runner", "@batchpools-runner-tool"]
    assert [one["command"][0] for one in (task, tool)] == [names.RUNNER_PATH] * 2
    assert all("--disk-limit" in one["command"] for one in (task, tool))
    root = {"name": names.VOLUME_ROOT, "mountPath": names.NODE_ROOT_DIR}
    assert all(root in one["volumeMounts"] for one in (task, tool))
    assert not any(one["name"] == names.VOLUME_TOKEN for one in tool["volumeMounts"])
    locked = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert tool["securityContext"] == {"readOnlyRootFilesystem": True, **locked}
    assert tool["env"] == [{"name": "A", "value": "1"}]
    assert ("restartPolicyRules" in task, "restartPolicyRules" in tool) == (True, False)
    assert "ephemeral-storage" in task["resources"]["requests"]
    assert "resources" not in tool
    config = msgspec.json.decode(containers(pod_of(view))[names.AGENT_CONTAINER]["env"][0]["value"], type=NodeConfig)
    assert config.containers == ["tool"]


def test_where_tasks_may_be_elevated_each_containers_runner_knows_its_own_plain_user() -> None:
    spec = with_tool(securityContext={"runAsUser": 3000})
    task, tool = pod_of(pool(image="", template=spec.template, allow_elevated=True))["spec"]["containers"]
    users = [one["command"][one["command"].index("--task-user") + 1] for one in (task, tool)]
    assert users == ["1000:1000:1000", "3000:1000:1000"]
    assert [one["securityContext"]["runAsUser"] for one in (task, tool)] == [0, 0]


def test_further_containers_are_in_the_hash_and_without_them_it_is_what_it_was() -> None:
    alone = PoolSpec(template={"spec": {"containers": [{"name": "task", "image": "x"}]}})
    assert len({pod_hash(one) for one in (alone, with_tool(), with_tool(image="z"))}) == 3
    assert pod_hash(alone) == pod_hash(PoolSpec(image="x"))


TOKEN = {"sources": [{"serviceAccountToken": {"audience": "batchpools", "path": "t"}}]}


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        pytest.param(PoolSpec(), "image", id="no image"),
        pytest.param(
            long(volumes=[{"name": "batchpools-root", "emptyDir": {}}]), "batchpools-", id="a volume of our name"
        ),
        pytest.param(
            long(task={"volumeMounts": [{"name": "batchpools-token", "mountPath": "/t"}]}),
            "batchpools-",
            id="our token",
        ),
        pytest.param(long(volumes=[{"name": "mine", "projected": TOKEN}]), "audience", id="a token of our audience"),
        pytest.param(
            long(task={"volumeMounts": [{"name": "library", "mountPath": "/mnt/batch/"}]}), "/mnt/batch", id="our root"
        ),
        pytest.param(
            long(task={"volumeMounts": [{"name": "library", "mountPath": "/batchpools/bin/x"}]}),
            "/batchpools",
            id="our runner",
        ),
        pytest.param(
            long(task={"volumeMounts": [{"name": "library", "mountPath": "//mnt/x/../batch"}]}),
            "/mnt/batch",
            id="our root, by a way round",
        ),
        pytest.param(long(shareProcessNamespace=True), "shareProcessNamespace", id="our process namespace"),
        pytest.param(long(hostPID=True), "hostPID", id="the machine's processes"),
        pytest.param(long(hostNetwork=True), "hostNetwork", id="the machine's network, where our socket would be"),
        pytest.param(long(task={"env": [{"name": "AZ_BATCH_POOL_ID", "value": "x"}]}), "AZ_BATCH_", id="our variables"),
        pytest.param(long(securityContext={"runAsUser": names.AGENT_UID}), "agent", id="the agent's user for the pod"),
        pytest.param(
            long(task={"securityContext": {"runAsUser": names.AGENT_UID}}), "agent", id="the agent's user for tasks"
        ),
        pytest.param(with_tool(image=""), "needs an image", id="a further container without an image"),
        pytest.param(with_tool(name="agent"), "system's", id="our container's name"),
        pytest.param(with_tool(name="start-task"), "system's", id="the name of the start task's container"),
        pytest.param(with_tool(name="task"), "name of its own", id="a name twice"),
        pytest.param(
            with_tool(volumeMounts=[{"name": "v", "mountPath": "/mnt/batch"}]), "/mnt/batch", id="our root, elsewhere"
        ),
        pytest.param(
            with_tool(volumeMounts=[{"name": "batchpools-token", "mountPath": "/t"}]),
            "batchpools-",
            id="our token, too",
        ),
        pytest.param(with_tool(env=[{"name": "AZ_BATCH_X", "value": "x"}]), "AZ_BATCH_", id="our variables, too"),
        pytest.param(
            with_tool(securityContext={"runAsUser": names.AGENT_UID}), "agent", id="the agent's user, elsewhere"
        ),
    ],
)
def test_a_template_that_reaches_for_what_is_ours_is_refused_with_a_sentence(spec: PoolSpec, word: str) -> None:
    sentence = refused(read_template(spec))
    assert word in sentence
    assert sentence.endswith(".")


def test_file_systems_are_mounted_where_azure_mounts_them_for_start_task_and_tasks() -> None:
    """AZ_BATCH_NODE_MOUNTS_DIR, each in a directory of its name (REST reference, relativeMountPath)."""
    mounts = [{"name": "data", "mountPath": "/mnt/batch/fsmounts/data", "readOnly": True}]
    tool = {"name": "tool", "image": "y", "volumeMounts": mounts}
    nfs = {"name": "data", "nfs": {"server": "files.example", "path": "/data"}}
    task = {"name": "task", "image": "x", "volumeMounts": mounts}
    template = {"spec": {"containers": [task, tool], "volumes": [nfs]}}
    assert refused(read_template(PoolSpec(template=template))) == ""
    made = pod_of(pool(image="", template=template, start_task=StartTask(command=("true",))))
    assert nfs in made["spec"]["volumes"]
    for name in ("start-task", "task", "tool"):
        found = [one["mountPath"] for one in containers(made)[name]["volumeMounts"]]
        assert {"/mnt/batch", "/mnt/batch/fsmounts/data"} <= set(found), name
    assert node_variables("a", "p", "n", dedicated=True)["AZ_BATCH_NODE_MOUNTS_DIR"] == "/mnt/batch/fsmounts"
    assert "/mnt/batch/fsmounts/data" not in [one["mountPath"] for one in containers(made)["agent"]["volumeMounts"]]


@pytest.mark.parametrize(
    "place",
    ["/mnt/batch/fsmounts", "/mnt/batch/fsmounts/..", "/mnt/batch/fsmounts/a/../../shared", "/mnt/batch/fsmounts/a\n"],
)
def test_mounts_lie_in_a_directory_of_their_own_name(place: str) -> None:
    spec = long(task={"volumeMounts": [{"name": "library", "mountPath": place}]})
    assert "/mnt/batch/fsmounts/<name>" in refused(read_template(spec))


def test_a_path_beside_ours_is_the_users() -> None:
    beside = long(task={"volumeMounts": [{"name": "library", "mountPath": "/mnt/batches"}]})
    assert refused(read_template(beside)) == ""
    assert refused(read_template(PoolSpec(template=LONG))) == ""


def test_what_is_not_on_the_list_is_not_taken_over_and_no_lock_can_be_opened() -> None:
    wild = {"hostPID": True, "hostNetwork": True, "shareProcessNamespace": True, "restartPolicy": "Never"}
    open_ = {"allowPrivilegeEscalation": True, "capabilities": {"add": ["SYS_ADMIN"]}}
    bare = {"runAsNonRoot": False, "seccompProfile": {"type": "Unconfined"}}
    own = {"command": ["sh"], "args": ["-c"], "livenessProbe": {}, "lifecycle": {}, "name": "task"}
    spec = long(task={"securityContext": open_, **own}, securityContext=bare, initContainers=[{"name": "x"}], **wild)
    made = pod_of(pool(image="", template=spec.template))["spec"]
    assert not {"hostPID", "hostNetwork", "shareProcessNamespace"} & made.keys()
    assert made["restartPolicy"] == "Always"
    assert (made["securityContext"]["runAsNonRoot"], made["securityContext"]["seccompProfile"]) == (
        True,
        {"type": "RuntimeDefault"},
    )
    assert [one["name"] for one in made["initContainers"]] == ["install-runner", "agent"]
    (task,) = made["containers"]
    assert task["command"][0] == names.RUNNER_PATH
    assert not {"args", "livenessProbe", "lifecycle"} & task.keys()
    assert task["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def test_a_start_task_inside_the_task_container_needs_no_container_of_its_own() -> None:
    for start in (
        StartTask(command=("true",), container="task"),
        StartTask(command=("true",), wait_for_success=False),
    ):
        found = containers(pod_of(pool(start_task=start)))
        assert names.START_TASK_CONTAINER not in found
        told = next(one["value"] for one in found[names.AGENT_CONTAINER]["env"] if one["name"] == NODE_CONFIG_ENV)
        config = msgspec.json.decode(told, type=NodeConfig)
        assert config.start_task is not None
        assert (config.start_task.inside, config.start_task.waits) == (True, start.wait_for_success)


def test_a_pod_says_which_start_task_it_was_made_with() -> None:
    def told(**spec: Any) -> str:
        return str(pod_of(pool(**spec))["metadata"]["annotations"][names.ANNOTATION_START_TASK])

    first, other = StartTask(command=("a",)), StartTask(command=("b",))
    assert told() == "none"
    assert told(start_task=first) == told(start_task=first) != told(start_task=other)
