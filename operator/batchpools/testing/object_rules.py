"""What the API server does to an object when it is created, changed or deleted: generation, status, graceful deletion. Pure.

FakeKube keeps the objects; the contract suite in tests/kube holds both to the real API server.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from batchpools.api import names
from batchpools.kube.errors import ForbiddenError, InvalidError
from batchpools.kube.port import Resource
from batchpools.kube.resources import api_version
from batchpools.testing import transition_rules
from batchpools.testing.fresh_status import FRESH_STATUS, filled

Object = dict[str, Any]

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_KEPT = (
    "name",
    "namespace",
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
)
_DEFAULT_POD_GRACE = 30


def fresh(resource: Resource, manifest: Mapping[str, Any], name: str, namespace: str, uid: str) -> Object:
    """A manifest as it is stored first. The status that came with it is not taken."""
    if not _NAME.fullmatch(name) or len(name) > 253:
        sentence = f'{resource.kind} "{name}" is invalid: metadata.name: Invalid value: "{name}"'
        raise InvalidError(sentence, 422, "Invalid")
    if resource.group == names.GROUP and not (manifest.get("kind") and manifest.get("apiVersion")):
        raise InvalidError(f"the object provided is unrecognized (must be of type {resource.kind})", 400, "BadRequest")
    item: Object = as_json(manifest)
    item["apiVersion"] = api_version(resource)
    item["kind"] = resource.kind
    given = item.get("metadata") or {}
    if given.get("namespace", namespace) != namespace:
        sentence = "the namespace of the provided object does not match the namespace sent on the request"
        raise InvalidError(sentence, 400, "BadRequest")
    metadata = {key: given[key] for key in ("labels", "annotations", "finalizers", "ownerReferences") if given.get(key)}
    metadata |= {"name": name, "uid": uid}
    if resource.namespaced:
        metadata["namespace"] = namespace
    if has_status(resource):
        metadata["generation"] = 1
        item["status"] = filled(resource.kind)
    item["metadata"] = metadata
    return item


def as_json(value: Any) -> Any:
    """A value as it arrives: tuples are lists, structs are objects, and nothing is shared with the sender."""
    return msgspec.json.decode(msgspec.json.encode(value))


def has_status(resource: Resource) -> bool:
    """Whether the kind has a status that only its subresource writes (and a generation)."""
    return resource.kind in FRESH_STATUS and resource.group in {"", names.GROUP}


def changed(resource: Resource, old: Object, new: Object, subresource: str) -> Object:
    """What is stored when `old` is to become `new`: status and the rest are written apart, what is immutable stays."""
    if subresource == "status":
        status = filled(resource.kind, new.get("status"))
        item = {**old, "status": status}
        _refuse_transition(resource, old, item)
        return item
    if new["metadata"].get("uid", old["metadata"]["uid"]) != old["metadata"]["uid"]:
        raise InvalidError(
            f'{resource.kind} "{_name(old)}" is invalid: metadata.uid: field is immutable', 422, "Invalid"
        )
    item = dict(new)
    metadata = {
        key: value for key, value in item["metadata"].items() if key not in _KEPT and value not in ([], {}, None)
    }
    metadata |= {key: old["metadata"][key] for key in _KEPT if key in old["metadata"]}
    _refuse_new_finalizers(resource, old, metadata)
    if has_status(resource):
        item["status"] = old["status"]
        if item.get("spec") != old.get("spec"):
            metadata["generation"] = old["metadata"]["generation"] + 1
    item["metadata"] = metadata
    _refuse_transition(resource, old, item)
    return {"apiVersion": old["apiVersion"], "kind": old["kind"], **item}


def doomed(resource: Resource, old: Object, now: str, grace_seconds: int | None) -> Object:
    """The object with its deletion asked for; a repeated wish only shortens the grace of a pod."""
    metadata = dict(old["metadata"])
    grace = _grace(resource, old, grace_seconds)
    if "deletionTimestamp" in metadata:
        grace = min(grace, metadata["deletionGracePeriodSeconds"])
    else:
        metadata["deletionTimestamp"] = now
        if "generation" in metadata:
            metadata["generation"] += 1
    metadata["deletionGracePeriodSeconds"] = grace
    return {**old, "metadata": metadata}


def is_over(item: Object) -> bool:
    """Whether nothing holds a doomed object any more: neither a finalizer nor, for a pod, its grace."""
    metadata = item["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return False
    return bool(metadata["deletionGracePeriodSeconds"] == 0)


def _grace(resource: Resource, item: Object, wanted: int | None) -> int:
    """Only a pod on a machine is given time to end: the kubelet deletes it again, with 0."""
    spec, status = item.get("spec", {}), item.get("status", {})
    if resource.kind != "Pod" or not spec.get("nodeName") or status.get("phase") in {"Succeeded", "Failed"}:
        return 0
    return int(spec.get("terminationGracePeriodSeconds", _DEFAULT_POD_GRACE) if wanted is None else wanted)


def _refuse_transition(resource: Resource, old: Object, new: Object) -> None:
    """The rules that the CRDs carry (safety rule S5.1 among them)."""
    sentence = transition_rules.refusal(resource.kind, old, new) if resource.group == names.GROUP else ""
    if sentence:
        raise InvalidError(f'{resource.kind}.{names.GROUP} "{_name(old)}" is invalid: {sentence}', 422, "Invalid")


def _refuse_new_finalizers(resource: Resource, old: Object, metadata: Mapping[str, Any]) -> None:
    added = set(metadata.get("finalizers", ())) - set(old["metadata"].get("finalizers", ()))
    if "deletionTimestamp" in old["metadata"] and added:
        sentence = (
            f'{resource.kind} "{_name(old)}" is invalid: metadata.finalizers: Forbidden: '
            "no new finalizers can be added if the object is being deleted"
        )
        raise InvalidError(sentence, 422, "Invalid")


def _name(item: Object) -> str:
    return str(item["metadata"]["name"])


def forbidden_in(namespace: str, resource: Resource, name: str) -> ForbiddenError:
    """What a create gets in a namespace that is being deleted."""
    sentence = (
        f'{resource.plural} "{name}" is forbidden: unable to create new content in namespace {namespace} '
        "because it is being terminated"
    )
    return ForbiddenError(sentence, 403, "Forbidden")
