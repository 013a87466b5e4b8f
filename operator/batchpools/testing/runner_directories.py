"""A model of the directories below a node's root, and of the files that an agent brings to a run that awaits them. Pure."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_ENTRIES = ("stderr.txt", "stdout.txt", "tmp", "wd")


@dataclass(slots=True)
class Directory:
    """One task's: runs that counted themselves there, and what the last one wrote."""

    tries: int = 0
    output: bytes = b""


class Directories:
    """Those of all tasks, by path."""

    def __init__(self) -> None:
        self._made: dict[str, Directory] = {}

    def made(self, path: str) -> Directory:
        """It is there from now on."""
        return self._made.setdefault(path, Directory())

    def answer(self, message: Mapping[str, Any], live: Sequence[str]) -> dict[str, Any]:
        """To read, list and remove. live: the directories of live runs."""
        path = message["path"]
        if not is_relative(path) or (message["op"] == "remove" and not path.startswith("workitems/")):
            return {"op": "error", "code": "Escapes", "message": "the path must be relative and clean"}
        if message["op"] == "remove":
            return self._remove(path, live)
        folder, _, name = path.rpartition("/")
        if message["op"] == "list" and path in self._made:
            entries = [{"name": one, "dir": "." not in one, "size": 0, "modifiedAt": 0.0} for one in _ENTRIES]
            return {"op": "entries", "entries": entries, "more": False}
        if message["op"] == "read" and folder in self._made and name in {"stdout.txt", "stderr.txt"}:
            return _piece(self._made[folder].output if name == "stdout.txt" else b"", message)
        return {"op": "error", "code": "NotFound", "message": "no such file"}

    def _remove(self, path: str, live: Sequence[str]) -> dict[str, Any]:
        if used := next((one for one in live if _is_within(one, path) or _is_within(path, one)), None):
            return {"op": "error", "code": "InUse", "message": f"a run is live in {used}"}
        for one in [one for one in self._made if _is_within(one, path)]:
            del self._made[one]
        return {"op": "done"}


@dataclass(slots=True)
class Delivery:
    """What one run was brought: bytes by name, whole or not yet."""

    whole: dict[str, bytes] = field(default_factory=dict)
    _parts: dict[str, bytes] = field(default_factory=dict)

    def put(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to the next piece of a file."""
        name, offset = message["path"], message.get("offset", 0)
        if offset == 0:
            self._parts.pop(name, None)
            if not is_relative(name):
                text = f"{name} does not lie in the working directory"
                return {"op": "error", "code": "ResourceFileCreateFailed", "message": text}
            self._parts[name] = b""
        if len(self._parts.get(name, b"")) != offset or name not in self._parts:
            self._parts.pop(name, None)
            text = f"{name}: a piece is missing before byte {offset}"
            return {"op": "error", "code": "ResourceFileWriteFailed", "message": text}
        self._parts[name] += base64.b64decode(message["data"])
        if message.get("last"):
            self.whole[name] = self._parts.pop(name)
        return {"op": "done"}


def is_relative(path: str) -> bool:
    """Whether it names something below, in the shortest way."""
    return bool(path) and all(part not in {"", ".", ".."} for part in path.split("/"))


def _piece(content: bytes, message: Mapping[str, Any]) -> dict[str, Any]:
    size, offset = len(content), message["offset"]
    if offset < 0:
        offset = max(0, size + offset)
    body = base64.b64encode(content[offset : offset + message["limit"]]).decode()
    return {"op": "data", "data": body, "offset": offset, "size": size}


def _is_within(path: str, folder: str) -> bool:
    return f"{path}/".startswith(f"{folder}/")
