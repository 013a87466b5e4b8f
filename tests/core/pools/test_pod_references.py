"""Secrets and ConfigMaps in node pods: commands see certificates by visibility, the rest the agent alone (S8.7)."""

from typing import Any

import msgspec
from kubernetes_validate.utils import validate
from tests.core.pools.situations import SETTINGS, assert_unusable_until_there, node, pool
from tests.core.pools.test_node_pod import containers

from batchpools.api import names
from batchpools.core.node_config import NODE_CONFIG_ENV, EnvReference, NodeConfig
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.node_state import Report
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.views import (
    CertificateReference,
    EnvVar,
    EnvVarSource,
    KeyReference,
    PoolView,
    StartTask,
    TaskLogs,
)

KEY = EnvVar("KEY", value_from=EnvVarSource(secret_key_ref=KeyReference(name="licence", key="key")))


def certificate(name: str, *visibility: str) -> CertificateReference:
    return CertificateReference(secret_name=name, visibility=visibility)


def view(**more: Any) -> PoolView:
    return pool(
        certificate_references=(
            certificate("corp-ca", "StartTask", "Task"),
            certificate("setup", "StartTask"),
            certificate("run.time", "Task"),
        ),
        secret_references=("licence",),
        config_map_references=("site",),
        start_task=StartTask(command=("true",), env=(KEY,)),
        **more,
    )


def mounted(manifest: dict[str, Any]) -> dict[str, set[str]]:
    return {
        name: {
            mount["mountPath"]
            for mount in one.get("volumeMounts", [])
            if mount["mountPath"].startswith((names.CERTIFICATES_DIR, names.REFERENCES_DIR))
        }
        for name, one in containers(manifest).items()
    }


def test_certificates_are_seen_by_visibility_and_what_environments_name_by_the_agent_alone() -> None:
    manifest = dict(create_pod(view(), node(), 1, SETTINGS).manifest)
    validate(manifest, "1.37", strict=True)
    at = names.CERTIFICATES_DIR
    seen = mounted(manifest)
    assert seen[names.TASK_CONTAINER] == {f"{at}/corp-ca", f"{at}/run.time"}
    assert seen[names.START_TASK_CONTAINER] == {f"{at}/corp-ca", f"{at}/setup"}
    assert seen[names.INSTALL_CONTAINER] == set()
    references = {f"{names.REFERENCES_DIR}/Secret/licence", f"{names.REFERENCES_DIR}/ConfigMap/site"}
    assert seen[names.AGENT_CONTAINER] == {f"{at}/corp-ca", f"{at}/setup", f"{at}/run.time"} | references
    for one in containers(manifest).values():
        for mount in one.get("volumeMounts", []):
            if mount["name"].startswith((names.VOLUME_CERTIFICATE, names.VOLUME_SECRET, names.VOLUME_CONFIG_MAP)):
                assert mount["readOnly"]


def test_the_kubelet_starts_a_pod_whose_secret_is_missing_so_that_the_agent_can_say_so() -> None:
    volumes = create_pod(view(), node(), 1, SETTINGS).manifest["spec"]["volumes"]
    sources = [one.get("secret") or one.get("configMap") for one in volumes if "secret" in one or "configMap" in one]
    assert len(sources) == 5
    assert all(one["optional"] for one in sources)


def test_the_agent_is_told_what_to_wait_for_and_what_the_start_task_names_but_no_value() -> None:
    manifest = dict(create_pod(view(), node(), 1, SETTINGS).manifest)
    (told,) = (
        one["value"] for one in containers(manifest)[names.AGENT_CONTAINER]["env"] if one["name"] == NODE_CONFIG_ENV
    )
    config = msgspec.json.decode(told, type=NodeConfig)
    assert config.certificates == ["corp-ca", "setup", "run.time"]
    assert config.start_task is not None
    assert config.start_task.references == [EnvReference("KEY", "Secret", "licence", "key")]


def test_the_agent_is_told_whose_output_goes_into_the_containers_log() -> None:
    for given, told in (("None", ""), ("Failed", "failed"), ("All", "all")):
        manifest = dict(create_pod(pool(task_logs=TaskLogs(to_container_log=given)), node(), 1, SETTINGS).manifest)
        (text,) = (
            one["value"] for one in containers(manifest)[names.AGENT_CONTAINER]["env"] if one["name"] == NODE_CONFIG_ENV
        )
        assert msgspec.json.decode(text, type=NodeConfig).log == told


def test_other_references_roll_the_nodes() -> None:
    hashes = {
        pod_hash(one.spec)
        for one in (pool(), view(), pool(secret_references=("a",)), pool(config_map_references=("a",)))
    }
    assert len(hashes) == 4


def test_a_missing_certificate_makes_the_node_unusable_with_the_agents_words_until_it_is_there() -> None:
    told = Report("Starting", message="Secret corp-ca does not exist; the node waits for it.")
    assert_unusable_until_there(told, "ReferenceMissing")
