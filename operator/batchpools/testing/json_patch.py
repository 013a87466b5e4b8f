"""JSON Patch (RFC 6902) as the API server applies it: add, remove, replace, test. Pure: what is not on a path is shared."""

from collections.abc import Callable, Sequence
from typing import Any

from batchpools.kube.errors import InvalidError, TestFailedError
from batchpools.kube.port import PatchOperation

_REFUSED = "the server rejected our request due to an error in our request"


def apply_patch(document: dict[str, Any], operations: Sequence[PatchOperation]) -> dict[str, Any]:
    """The patched document; the given one, and values of operations, are not changed and may be shared with it.

    TestFailedError when a test does not hold or a path is not there (the API server says the same).
    """
    patched: Any = document
    for operation in operations:
        path = [_unescape(part) for part in str(operation["path"]).split("/")[1:]]
        patched = _at(patched, path, _APPLY[operation["op"]], operation.get("value"))
    return patched  # type: ignore[no-any-return]


Step = Callable[[Any, str, Any], Any]


def _at(holder: Any, path: list[str], step: Step, value: Any) -> Any:
    """The holder with the step carried out below it: what is changed is copied on the way."""
    part, *rest = path
    if not rest:
        return step(holder, part, value)
    here = _read(holder, part)
    if here is None:
        raise TestFailedError(_REFUSED, 422, "Invalid")
    changed = _at(here, rest, step, value)
    return holder if changed is here else _with(holder, part, changed)


def _with(holder: Any, part: str, value: Any) -> Any:
    copied = holder.copy()
    copied[int(part) if isinstance(holder, list) else part] = value
    return copied


def _unescape(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")


def _read(holder: Any, part: str) -> Any:
    if isinstance(holder, list):
        return holder[int(part)] if part.isdigit() and int(part) < len(holder) else None
    return holder.get(part) if isinstance(holder, dict) else None


def _test(holder: Any, part: str, value: Any) -> Any:
    if _read(holder, part) != value:  # a path that is not there equals null
        raise TestFailedError(_REFUSED, 422, "Invalid")
    return holder


def _add(holder: Any, part: str, value: Any) -> Any:
    if isinstance(holder, list):
        at = len(holder) if part == "-" else int(part)
        return [*holder[:at], value, *holder[at:]]
    if isinstance(holder, dict):
        return {**holder, part: value}
    raise InvalidError(f"{part} cannot be added to a value", 422, "Invalid")


def _replace(holder: Any, part: str, value: Any) -> Any:
    if _read(holder, part) is None:
        raise TestFailedError(_REFUSED, 422, "Invalid")
    return _with(holder, part, value)


def _remove(holder: Any, part: str, _: Any = None) -> Any:
    if _read(holder, part) is None:
        raise TestFailedError(_REFUSED, 422, "Invalid")
    copied = holder.copy()
    del copied[int(part) if isinstance(holder, list) else part]
    return copied


_APPLY: dict[str, Step] = {
    "test": _test,
    "add": _add,
    "replace": _replace,
    "remove": _remove,
}
