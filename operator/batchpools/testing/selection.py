"""Which objects a label or field selector means, as the API server reads it. Pure."""

from collections.abc import Mapping
from typing import Any

from batchpools.kube.errors import InvalidError

_EVERYWHERE = ("metadata.name", "metadata.namespace")
_SELECTABLE = {
    "Task": ("spec.jobName", "spec.id", "status.state", "status.result", "status.poolNodeName"),
    "PoolNode": ("spec.poolName", "status.state"),
    "Job": ("spec.poolName", "status.state"),
    "Pod": ("spec.nodeName", "status.phase"),
}


def labels_match(selector: str, item: Mapping[str, Any]) -> bool:
    """`a=b`, `a!=b`, `a`, `!a`, joined by commas."""
    if not selector:
        return True
    labels = item["metadata"].get("labels") or {}
    return all(_label_holds(part.strip(), labels) for part in selector.split(",") if part.strip())


def fields_match(selector: str, kind: str, item: Mapping[str, Any]) -> bool:
    """`path=value`, `path!=value`, joined by commas; InvalidError for a path that the kind cannot be selected by."""
    return all(_field_holds(part, kind, item) for part in selector.split(",") if part)


def _label_holds(part: str, labels: Mapping[str, str]) -> bool:
    if part.startswith("!"):
        return part[1:] not in labels
    if "!=" in part:
        name, _, value = part.partition("!=")
        return labels.get(name) != value
    name, equals, value = part.partition("=")
    if not equals:
        return name in labels
    return labels.get(name) == value.removeprefix("=")


def _field_holds(part: str, kind: str, item: Mapping[str, Any]) -> bool:
    path, _, wanted = part.partition("=")
    differs = path.endswith("!")
    path = path.removesuffix("!")
    if path not in _EVERYWHERE + _SELECTABLE.get(kind, ()):
        raise InvalidError(f"field label not supported: {path}", 400, "BadRequest")
    here: Any = item
    for step in path.split("."):
        here = here.get(step, "") if isinstance(here, Mapping) else ""
    return (str(here) == wanted.removeprefix("=")) != differs
