"""JSON Patch (RFC 6902) as the API server applies it: add, remove, replace, test. Pure."""

import copy
from collections.abc import Callable, Sequence
from typing import Any

from batchpools.kube.errors import InvalidError, TestFailedError
from batchpools.kube.port import PatchOperation

_REFUSED = "the server rejected our request due to an error in our request"


def apply_patch(document: dict[str, Any], operations: Sequence[PatchOperation]) -> dict[str, Any]:
    """A patched copy; TestFailedError when a test does not hold or a path is not there (the API server says the same)."""
    patched = copy.deepcopy(document)
    for operation in operations:
        *parents, last = [_unescape(part) for part in str(operation["path"]).split("/")[1:]]
        holder = _descend(patched, parents)
        _APPLY[operation["op"]](holder, last, operation.get("value"))
    return patched


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _descend(document: Any, parents: list[str]) -> Any:
    here = document
    for part in parents:
        here = _read(here, part)
        if here is None:
            raise TestFailedError(_REFUSED, 422, "Invalid")
    return here


def _read(holder: Any, part: str) -> Any:
    if isinstance(holder, list):
        return holder[int(part)] if part.isdigit() and int(part) < len(holder) else None
    return holder.get(part) if isinstance(holder, dict) else None


def _test(holder: Any, part: str, value: Any) -> None:
    if _read(holder, part) != value:  # a path that is not there equals null
        raise TestFailedError(_REFUSED, 422, "Invalid")


def _add(holder: Any, part: str, value: Any) -> None:
    if isinstance(holder, list):
        holder.insert(len(holder) if part == "-" else int(part), copy.deepcopy(value))
    elif isinstance(holder, dict):
        holder[part] = copy.deepcopy(value)
    else:
        raise InvalidError(f"{part} cannot be added to a value", 422, "Invalid")


def _replace(holder: Any, part: str, value: Any) -> None:
    _remove(holder, part)
    _add(holder, part, value)


def _remove(holder: Any, part: str, _: Any = None) -> None:
    if _read(holder, part) is None:
        raise TestFailedError(_REFUSED, 422, "Invalid")
    del holder[int(part) if isinstance(holder, list) else part]


_APPLY: dict[str, Callable[[Any, str, Any], None]] = {
    "test": _test,
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}
