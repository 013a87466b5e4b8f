"""Who may reach a pool's nodes: the exact objects, and what happens to them."""

from typing import Any

from kubernetes_validate.utils import validate
from msgspec.structs import replace
from tests.core.pools.situations import SETTINGS, node, pool

from batchpools.core.identity import Key
from batchpools.core.plan import Create, Delete, ReplaceSpec
from batchpools.core.pools.network_policy import plan_policy
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.views import Meta, NetworkPolicyView, OwnerReference, PoolView

KEY = Key("NetworkPolicy", "ns", "p-nodes")
NODES = {"podSelector": {"matchLabels": {"app.kubernetes.io/managed-by": "batchpools", "batchpools.dev/pool": "p"}}}
CLOSED: dict[str, Any] = {**NODES, "policyTypes": ["Ingress"]}
OPEN: dict[str, Any] = {
    **CLOSED,
    "ingress": [
        {
            "from": [NODES],
            "ports": [
                {"protocol": "TCP", "port": 1101, "endPort": 65535},
                {"protocol": "UDP", "port": 1101, "endPort": 65535},
            ],
        }
    ],
}


def held(spec: dict[str, Any], owner: str = "pool-uid", **meta: Any) -> NetworkPolicyView:
    owners = (OwnerReference(kind="Pool", name="p", uid=owner, controller=True),)
    known = Meta(name="p-nodes", namespace="ns", uid="policy-uid", resource_version="3", owner_references=owners)
    return NetworkPolicyView(metadata=replace(known, **meta), spec=spec)


def created(view: PoolView) -> dict[str, Any]:
    (effect,) = plan_policy(view, None, has_nodes=False)
    assert isinstance(effect, Create)
    assert (effect.key, effect.owner_uid) == (KEY, "pool-uid")
    manifest = dict(effect.manifest)
    validate(manifest, "1.33", strict=True)
    return manifest


def test_without_inter_node_communication_nobody_reaches_a_node() -> None:
    manifest = created(pool())
    assert manifest["spec"] == CLOSED
    assert manifest["metadata"]["ownerReferences"][0]["uid"] == "pool-uid"


def test_with_it_nodes_of_the_same_pool_do_on_ports_above_1100() -> None:
    manifest = created(pool(enable_inter_node_communication=True))
    assert manifest["spec"] == OPEN
    assert "Egress" not in manifest["spec"]["policyTypes"], "hub, DNS and the world are not touched"


def test_the_selector_finds_node_pods_and_a_template_cannot_take_its_labels_away() -> None:
    labels = {"batchpools.dev/pool": "other", "app.kubernetes.io/managed-by": "me"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "task", "image": "x"}]}}
    made = create_pod(pool(image="", template=template), node(), 1, SETTINGS).manifest["metadata"]["labels"]
    assert NODES["podSelector"]["matchLabels"].items() <= made.items()


def test_what_is_as_it_should_be_is_left_alone_and_what_is_not_is_put_right() -> None:
    assert plan_policy(pool(), held(CLOSED), has_nodes=True) == ()
    changed = plan_policy(pool(enable_inter_node_communication=True), held(CLOSED), has_nodes=True)
    assert changed == (ReplaceSpec(KEY, "policy-uid", OPEN),)
    opened = {**CLOSED, "ingress": [{}]}
    assert plan_policy(pool(), held(opened), has_nodes=True) == (ReplaceSpec(KEY, "policy-uid", CLOSED),)


def test_it_goes_after_the_last_node_of_a_deleted_pool() -> None:
    gone = pool(deleted=True)
    assert plan_policy(gone, held(CLOSED), has_nodes=True) == ()
    assert plan_policy(gone, held(CLOSED), has_nodes=False) == (Delete(KEY, "policy-uid", "3"),)
    assert plan_policy(gone, None, has_nodes=False) == ()


def test_somebody_elses_is_neither_changed_nor_deleted() -> None:
    """The try to make ours is refused by its name, and that is told."""
    assert [type(one) for one in plan_policy(pool(), held(OPEN, owner="other"), has_nodes=True)] == [Create]
    assert plan_policy(pool(deleted=True), held(CLOSED, owner="other"), has_nodes=False) == ()


def test_nodes_that_talk_to_each_other_are_placed_in_one_zone_where_there_is_room() -> None:
    wish = {
        "weight": 100,
        "podAffinityTerm": {
            "labelSelector": {"matchLabels": {"batchpools.dev/pool": "p"}},
            "topologyKey": "topology.kubernetes.io/zone",
        },
    }
    own = {"weight": 1, "podAffinityTerm": {"topologyKey": "rack", "labelSelector": {}}}
    spread = {"podAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [own]}, "nodeAffinity": {}}
    template = {"spec": {"containers": [{"name": "task", "image": "x"}], "affinity": spread}}
    for view, wishes in (
        (pool(enable_inter_node_communication=True), [wish]),
        (pool(image="", template=template, enable_inter_node_communication=True), [own, wish]),
    ):
        affinity = create_pod(view, node(), 1, SETTINGS).manifest["spec"]["affinity"]
        assert affinity["podAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"] == wishes
    assert "affinity" not in create_pod(pool(), node(), 1, SETTINGS).manifest["spec"]
