"""Is a tag still the image that it was: when it is looked, by which pod, what is said, and which nodes are renewed for it."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import NOW, READY, RUNNING, SETTINGS, node, pod, pool, situation

from batchpools.api import names
from batchpools.core.conditions import find_condition
from batchpools.core.identity import Key
from batchpools.core.plan import Annotate, Create, Delete, RemoveFinalizer
from batchpools.core.pools.image_check import FAILED_AGAIN, REFUSED_AGAIN, look_at_image
from batchpools.core.pools.image_digest import checked_digest, digest_of
from batchpools.core.pools.image_probe import make_probe, probe_key
from batchpools.core.pools.node_plan import plan_node
from batchpools.core.pools.node_pod import create_pod
from batchpools.core.pools.pod_hash import pod_hash
from batchpools.core.pools.pool_plan import plan_pool
from batchpools.core.pools.situation import PoolSituation
from batchpools.core.pools.upgrade import is_outdated, is_renewing, nodes_to_renew
from batchpools.core.views import (
    ContainerState,
    ContainerStateDetail,
    ContainerStatus,
    ImageCheck,
    Meta,
    OwnerReference,
    PodCondition,
    PodStatus,
    PodView,
    PoolNodeView,
    PoolStatus,
    PoolView,
    UpgradePolicy,
)

OLD, NEW, NEWER = (f"sha256:{letter * 64}" for letter in "abc")
DAILY = UpgradePolicy(image_check_interval="24h")
KEY = Key("Pod", "ns", "p-image-check")
ENDED = ContainerState(terminated=ContainerStateDetail())


def checked(last: ImageCheck | None = None, policy: UpgradePolicy = DAILY, **spec: Any) -> PoolView:
    return pool(1, upgrade_policy=policy, status=PoolStatus(image_check=last), **spec)


def known(digest: str, **more: Any) -> ImageCheck:
    return ImageCheck(**{"time": NOW - timedelta(hours=1), "image": "x", "digest": digest, **more})


def with_image(digest: str = OLD, *, made_for: str = "", number: int = 0, state: str = "Idle") -> PoolNodeView:
    """A node that reports an image."""
    return node(
        number,
        pod_uid=f"u{number}",
        state=state,
        template_hash=pod_hash(pool(1).spec),
        image_id=f"registry/x@{digest}",
        image_digest=made_for,
    )


def probe(view: PoolView, image_id: str = "", state: ContainerState | None = None, **status: Any) -> PodView:
    """The pod that `make_probe` makes for the pool as it is, some time later."""
    meta = make_probe(view).manifest["metadata"]
    owner = OwnerReference(kind="Pool", name="p", uid=view.metadata.uid, controller=True)
    container = ContainerStatus(name=names.IMAGE_CHECK, state=state or ContainerState(), image="x", image_id=image_id)
    return PodView(
        metadata=Meta(
            name=KEY.name, namespace="ns", uid="probe", annotations=meta["annotations"], owner_references=(owner,)
        ),
        status=PodStatus(container_statuses=(container,), **status),
    )


def looked(view: PoolView, held: PodView | None = None, **more: Any) -> Any:
    return look_at_image(PoolSituation(view, (with_image(),), probe=held, **more), NOW)


def waits(reason: str, message: str) -> ContainerState:
    return ContainerState(waiting=ContainerStateDetail(reason=reason, message=message))


@pytest.mark.parametrize(
    ("image_id", "digest"),
    [
        (f"docker-pullable://registry/repo@{NEW}", NEW),
        (f"docker://{NEW}", NEW),
        (f"registry:5000/some/repo@{NEW}", NEW),
        (NEW, NEW),
        (f"containerd://{NEW}", NEW),
        ("registry/repo:tag", ""),
        ("sha256:short", ""),
        ("", ""),
    ],
    ids=str,
)
def test_what_kubelets_say_is_compared_by_digest_alone(image_id: str, digest: str) -> None:
    assert digest_of(image_id) == digest


def test_nobody_looks_unless_it_is_asked_for_nor_at_an_image_that_cannot_move() -> None:
    for view in (checked(policy=UpgradePolicy()), checked(image=f"x@{NEW}")):
        look = looked(view)
        assert (look.effects, look.said, look.again) == ((), None, None)
        task = create_pod(view, node(), 1, SETTINGS).manifest["spec"]["containers"][0]
        assert task["imagePullPolicy"] == "IfNotPresent"


def test_a_probe_is_made_when_it_is_due_and_is_no_node() -> None:
    labels = {"team": "a"}
    affinity = {"nodeAffinity": {"some": "machines"}, "podAntiAffinity": {"one": "a machine"}}
    task = {
        "name": "task", "image": "x", "resources": {"requests": {"cpu": "64"}}, "env": [{"name": "A", "value": "b"}],
        "volumeMounts": [{"name": "v", "mountPath": "/v"}],
    }  # fmt: skip
    placement = {
        "nodeSelector": {"gpu": "yes"}, "tolerations": [{"operator": "Exists"}], "imagePullSecrets": [{"name": "s"}],
        "affinity": affinity, "topologySpreadConstraints": [{}], "securityContext": {"runAsUser": 7},
    }  # fmt: skip
    template = {"metadata": {"labels": labels}, "spec": {**placement, "containers": [task], "volumes": [{"name": "v"}]}}
    (made,) = looked(checked(image="", template=template)).effects
    assert isinstance(made, Create)
    assert (made.key, made.owner_uid) == (KEY, "pool-uid")
    meta, spec = made.manifest["metadata"], made.manifest["spec"]
    assert meta["labels"] == {**labels, names.LABEL_MANAGED_BY: names.MANAGED_BY, names.LABEL_IMAGE_CHECK: "p"}
    assert {names.LABEL_POOL, names.LABEL_NODE} & set(meta["labels"]) == set(), "no selector of nodes finds it"
    assert "finalizers" not in meta
    (container,) = spec["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("x", "Always")
    assert container["resources"]["requests"] == container["resources"]["limits"] == {"cpu": "10m", "memory": "32Mi"}
    assert container["securityContext"] == {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    assert set(container) & {"env", "envFrom", "volumeMounts"} == set(), "what may be missing holds nobody up"
    assert {key: spec[key] for key in ("nodeSelector", "tolerations", "imagePullSecrets")} == {
        key: placement[key] for key in ("nodeSelector", "tolerations", "imagePullSecrets")
    }
    assert spec["affinity"] == {"nodeAffinity": affinity["nodeAffinity"]}
    assert spec["securityContext"]["runAsUser"] == 7
    assert (spec["restartPolicy"], spec["activeDeadlineSeconds"]) == ("Never", 600)
    assert spec["automountServiceAccountToken"] is False
    assert "volumes" not in spec
    assert "topologySpreadConstraints" not in spec


def test_the_interval_is_kept_by_what_is_persisted() -> None:
    """So it is the same for the next leader."""
    view = checked(known(OLD))
    assert (looked(view).effects, looked(view).again) == ((), 23 * 3600.0)
    due = checked(known(OLD, time=NOW - timedelta(hours=24)))
    assert isinstance(looked(due).effects[0], Create)
    assert isinstance(looked(checked(known(OLD), image="y")).effects[0], Create), "another image was never looked at"
    ahead = checked(known(OLD, time=NOW + timedelta(days=1)))
    assert isinstance(looked(ahead).effects[0], Create), "a clock was wrong: nobody waits for its day"


def test_a_pool_without_nodes_buys_no_machine_for_it() -> None:
    view = checked()
    assert look_at_image(PoolSituation(view, ()), NOW).effects == ()
    assert look_at_image(PoolSituation(view, (node(),)), NOW).effects == (), "a node without a pod has no image"


@pytest.mark.parametrize("state", [ContainerState(running={}), ENDED, waits("RunContainerError", "no such file: true")])
def test_the_digest_is_persisted_first_and_then_the_probe_goes(state: ContainerState) -> None:
    """An image that has no `true` was pulled as well."""
    view = checked(known(OLD, time=NOW - timedelta(days=2)))
    look = looked(view, probe(view, f"registry/x@{NEW}", state))
    assert (look.effects, look.said) == ((), ImageCheck(time=NOW, image="x", digest=NEW))
    after = checked(look.said)
    gone = looked(after, probe(view, f"registry/x@{NEW}", state))
    assert gone.effects == (Delete(KEY, "probe", grace_seconds=0),)
    assert gone.said == look.said


def test_a_probe_of_a_former_check_or_template_tells_nothing() -> None:
    """A probe that nobody deleted must not answer the next check with what the tag was a day ago."""
    before, now = checked(known(OLD, time=NOW - timedelta(days=9))), checked(known(OLD, time=NOW - timedelta(days=2)))
    for stale in (before, checked(image="y")):
        look = looked(now, probe(stale, f"registry/x@{NEW}", ENDED))
        assert look.effects == (Delete(KEY, "probe", grace_seconds=0),)
        assert look.said == now.status.image_check


def test_what_holds_the_name_and_is_not_ours_is_left_alone() -> None:
    view = checked()
    held = probe(view)
    foreign = replace(held, metadata=replace(held.metadata, owner_references=()))
    look = looked(view, foreign, probe_refusal="pod p-image-check exists and belongs to somebody else")
    assert [type(one) for one in look.effects] == [Create], "the applier finds that it is not ours"
    assert (look.again, look.said.message) == (REFUSED_AGAIN, "pod p-image-check exists and belongs to somebody else")
    assert looked(checked(known(OLD)), foreign).effects == ()


def test_an_image_that_cannot_be_pulled_is_said_once_and_the_kubelet_tries_on() -> None:
    view = checked(known(OLD, time=NOW - timedelta(days=2)))
    look = looked(view, probe(view, state=waits("ErrImagePull", "registry says no")))
    said = look.said
    assert (look.effects, said.digest, said.time) == ((), OLD, NOW - timedelta(days=2))
    assert "registry says no" in said.message
    told = checked(said)
    assert looked(told, probe(told, state=waits("ImagePullBackOff", "other words"))).said == said, "said once"
    over = probe(told, phase="Failed", reason="DeadlineExceeded", message="too long")
    ended = looked(told, over).said
    assert (ended.time, ended.digest, ended.message) == (NOW, OLD, said.message)
    assert looked(checked(ended)).again == FAILED_AGAIN, "and looked again before a day has passed"
    found = looked(told, probe(told, NEW, ENDED)).said
    assert (found.digest, found.message) == (NEW, "")


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "Failed", "message": "Node was low on resource"}, "Node was low on resource"),
        ({"phase": "Failed"}, "ended without telling"),
        (
            {"conditions": (PodCondition(type="PodScheduled", status="False", reason="Unschedulable", message="0/3"),)},
            "0/3",
        ),
    ],
    ids=str,
)
def test_a_probe_that_finds_nothing_out_says_why_and_rolls_nobody(status: dict[str, Any], words: str) -> None:
    view = checked(known(OLD, time=NOW - timedelta(days=2)))
    said = looked(view, probe(view, **status)).said
    assert words in said.message
    told = checked(said)
    assert checked_digest(told) == OLD
    assert nodes_to_renew(told, [with_image()], {}) == []


def test_a_kubelet_without_digests_is_said() -> None:
    view = checked()
    said = looked(view, probe(view, "some/image:tag", ENDED)).said
    assert "no digest" in said.message
    assert "some/image:tag" in said.message


def test_a_pool_says_in_one_write_and_an_event_what_its_image_is() -> None:
    view = checked(known(OLD, time=NOW - timedelta(days=2)))
    plan = plan_pool(PoolSituation(view, (with_image(),), probe=probe(view, NEW, ENDED)), now=NOW)
    assert plan.status is not None
    assert plan.status.image_check == ImageCheck(time=NOW, image="x", digest=NEW)
    told = find_condition(plan.status.conditions, "ImageChecked")
    assert told is not None
    assert (told.status, told.reason, NEW in told.message) == ("True", "ImageFound", True)
    assert [one.reason for one in plan.events if "mage" in one.reason] == ["ImageMoved"]
    assert not [one for one in plan.effects if isinstance(one, Annotate)], "what is not persisted rolls nobody"
    trouble = probe(view, state=waits("ErrImagePull", "no"))
    failed = plan_pool(PoolSituation(view, (with_image(),), probe=trouble), now=NOW)
    assert failed.status is not None
    told = find_condition(failed.status.conditions, "ImageChecked")
    assert told is not None
    assert (told.status, told.reason) == ("False", "ImageCheckFailed")
    assert [(one.reason, one.warning) for one in failed.events if "mage" in one.reason] == [("ImageCheckFailed", True)]
    off = pool(1, status=failed.status)
    plan = plan_pool(PoolSituation(off, (with_image(),), probe=probe(view)), now=NOW)
    assert plan.status is not None
    assert find_condition(plan.status.conditions, "ImageChecked") is None
    assert plan.status.image_check is None
    assert Delete(KEY, "probe", grace_seconds=0) in plan.effects, "nobody wants to know any more"


def test_nodes_with_another_image_are_renewed_as_by_a_changed_template() -> None:
    view = checked(known(NEW))
    nodes = [with_image(number=0), with_image(NEW, number=1), with_image(number=2)]
    assert [one.metadata.name for one in nodes_to_renew(view, nodes, {})] == ["p-0002"]
    manual = checked(known(NEW), UpgradePolicy(mode="Manual", image_check_interval="1h"))
    assert nodes_to_renew(manual, nodes, {}) == []
    (mark,) = [
        one
        for one in plan_pool(PoolSituation(view, (with_image(),)), now=NOW).effects
        if isinstance(one, Annotate) and one.name == names.ANNOTATION_RENEW
    ]
    marked = replace(with_image(), metadata=replace(with_image().metadata, annotations={mark.name: mark.value}))
    assert is_renewing(marked, view)
    assert not is_renewing(marked, checked(known(NEWER))), "it moved again: it is marked for that anew"
    assert not is_renewing(marked, pool(1)), "nobody wants it any more"


def test_a_node_is_renewed_once_for_a_digest_whatever_it_reports() -> None:
    """A mirror that is behind, or an image loaded by hand, must not renew a node for ever."""
    view = checked(known(NEW))
    assert is_outdated(with_image(OLD), view)
    assert not is_outdated(with_image(OLD, made_for=NEW), view)
    assert is_outdated(with_image(OLD, made_for=NEW), checked(known(NEWER)))
    assert not is_outdated(replace(with_image(), status=replace(with_image().status, image_id="")), view)


def test_a_pod_is_made_for_the_digest_and_always_pulls() -> None:
    view = checked(known(NEW))
    made = create_pod(view, node(), 1, SETTINGS).manifest
    stamp = made["metadata"]["annotations"][names.ANNOTATION_IMAGE_DIGEST]
    assert (stamp, made["spec"]["containers"][0]["imagePullPolicy"]) == (NEW, "Always")
    annotations = {names.ANNOTATION_CA: SETTINGS.ca, names.ANNOTATION_IMAGE_DIGEST: NEW}
    present = pod(task=RUNNING, ca=annotations)
    status = plan_node(
        situation(node(pod_generation=1, pod_name="p-0000-1"), present, pool=view, report=READY), now=NOW
    ).status
    assert status is not None
    assert status.image_digest == NEW
    first = create_pod(checked(), node(), 1, SETTINGS).manifest["metadata"]["annotations"]
    assert names.ANNOTATION_IMAGE_DIGEST not in first
    assert pod_hash(view.spec) == pod_hash(pool(1).spec), "that somebody looks renews nobody"


def test_the_task_containers_image_is_looked_at_and_the_others_are_pulled_with_it() -> None:
    made = [{"name": "tool", "image": "other:latest"}, {"name": "task", "image": "x:latest"}]
    view = checked(image="", template={"spec": {"containers": made}})
    (probed,) = make_probe(view).manifest["spec"]["containers"]
    assert probed["image"] == "x:latest"
    containers = create_pod(view, node(), 1, SETTINGS).manifest["spec"]["containers"]
    assert [(one["name"], one["imagePullPolicy"]) for one in containers] == [("task", "Always"), ("tool", "Always")]


def test_a_pool_that_goes_takes_its_probe_along() -> None:
    view = pool(1, deleted=True, upgrade_policy=DAILY)
    gone = Delete(KEY, "probe", grace_seconds=0)
    last = plan_pool(PoolSituation(view, (), probe=probe(view)), now=NOW).effects
    assert last == (gone, RemoveFinalizer(Key("Pool", "ns", "p"), "pool-uid", names.FINALIZER_POOL))
    assert gone in plan_pool(PoolSituation(view, (with_image(),), probe=probe(view)), now=NOW).effects
    assert probe_key(view) == KEY
