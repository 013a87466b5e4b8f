"""Turns a pydantic JSON schema into a structural one that the API server takes. What it cannot turn it refuses."""

import copy
from typing import Any

Schema = dict[str, Any]

_DROPPED = ("title", "examples", "additionalProperties", "$defs")
_RULES = "x-kubernetes-validations"
_TEMPLATE = "x-template"  # ours: what is below may change freely, whatever its models say of objects of their own


class NotStructuralError(TypeError):
    """A model says something that no CRD can."""


def structural(schema: Schema) -> Schema:
    """The whole schema of a kind, with references put in place."""
    return _convert(copy.deepcopy(schema), schema.get("$defs", {}), ())


def _convert(node: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    node = _resolve(node, definitions, path)
    if "anyOf" in node:
        node = _lift_optional(node, definitions, path)
    if "const" in node:
        node["enum"] = [node.pop("const")]
    for forbidden in ("prefixItems", "oneOf", "allOf", "not"):
        if forbidden in node:
            raise NotStructuralError(f"{'.'.join(path)}: {forbidden}")
    values = node.get("additionalProperties")
    for key in _DROPPED:
        node.pop(key, None)
    _drop_nothing(node)
    if isinstance(values, dict) and not node.get("x-kubernetes-preserve-unknown-fields"):
        node["additionalProperties"] = _convert(values, definitions, (*path, "*"))
    if "properties" in node:
        node["properties"] = {
            name: _convert(child, definitions, (*path, name)) for name, child in node["properties"].items()
        }
    if "items" in node:
        node["items"] = _convert(node["items"], definitions, (*path, "[]"))
    return _finished(node, path)


def _finished(node: Schema, path: tuple[str, ...]) -> Schema:
    if "type" not in node and "enum" in node:
        node["type"] = "string"
    if "type" not in node:
        raise NotStructuralError(f"{'.'.join(path)}: no type")
    if node.pop(_TEMPLATE, False):
        _let_change(node)
    return dict(sorted(node.items()))


def _drop_nothing(node: Schema) -> None:
    """A default of nothing is none, and what a model's default leaves out is absent."""
    default = node.get("default", ...)
    if default is None:
        del node["default"]
    elif isinstance(default, dict):
        node["default"] = {name: value for name, value in default.items() if value is not None}


def _let_change(node: Schema) -> None:
    """Drop the rules that speak of a change, here and below."""
    kept = [rule for rule in node.pop(_RULES, ()) if "oldSelf" not in rule["rule"]]
    if kept:
        node[_RULES] = kept
    inner = [*node.get("properties", {}).values(), node.get("items"), node.get("additionalProperties")]
    for child in inner:
        if isinstance(child, dict):
            _let_change(child)


def _resolve(node: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """Put a definition in the place of its reference; what stands beside the reference wins."""
    if "$ref" not in node:
        return dict(node)
    name = node["$ref"].rpartition("/")[2]
    if path.count(f"<{name}>") > 1:
        raise NotStructuralError(f"{'.'.join(path)}: {name} refers to itself")
    beside = {key: value for key, value in node.items() if key != "$ref"}
    found = copy.deepcopy(definitions[name])
    if found.get("type") == "string" and "enum" in found:
        found.pop("description", None)  # the words of the enum's own docstring are not about this field
    return {**_resolve(found, definitions, path), **beside}


def _lift_optional(node: Schema, definitions: Schema, path: tuple[str, ...]) -> Schema:
    """`X | None` is X: a field that may be absent."""
    kinds = [one for one in node.pop("anyOf") if one.get("type") != "null"]
    if len(kinds) != 1:
        raise NotStructuralError(f"{'.'.join(path)}: a choice of types")
    return {**_convert(kinds[0], definitions, path), **node}
