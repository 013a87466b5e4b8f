"""What the rest of the operator needs from an API server: the port that the real client and FakeKube both fill.

One contract suite (tests/kube) runs against both. Objects travel as JSON bytes, so that each caller decodes only what it reads.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

PatchOperation = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind at the API server."""

    kind: str
    group: str  # "" = core
    version: str
    plural: str
    namespaced: bool = True


class ListPage(msgspec.Struct, frozen=True):
    """One page: raw items and where to go on."""

    items: tuple[bytes, ...]
    resource_version: str
    next_page: str = ""


class WatchEvent(msgspec.Struct, frozen=True):
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK, ERROR and the raw object."""

    type: str
    object: bytes


class KubeApi(Protocol):
    """The API server. Errors are those of `kube.errors`; every call has a time limit."""

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """One object; NotFound."""
        ...

    async def list(
        self,
        resource: Resource,
        namespace: str = "",
        *,
        label_selector: str = "",
        field_selector: str = "",
        page: str = "",
    ) -> ListPage:
        """A page of at most 500 objects; Gone when the page token is too old."""
        ...

    def watch(
        self, resource: Resource, namespace: str = "", *, resource_version: str, label_selector: str = ""
    ) -> AsyncGenerator[WatchEvent, None]:
        """Events after resource_version, with bookmarks; ends when the server closes; Gone on 410."""
        ...

    async def create(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> bytes:
        """The created object; AlreadyExists, Invalid, Forbidden."""
        ...

    async def rehearse(self, resource: Resource, namespace: str, manifest: Mapping[str, Any]) -> None:
        """What `create` would answer (a dry run of the server's): AlreadyExists, Invalid, Forbidden; nothing is made."""
        ...

    async def replace(self, resource: Resource, namespace: str, name: str, manifest: Mapping[str, Any]) -> bytes:
        """PUT with the manifest's resourceVersion; Conflict."""
        ...

    async def patch(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        operations: Sequence[PatchOperation],
        *,
        subresource: str = "",
    ) -> bytes:
        """JSON Patch; NotFound, TestFailed (a `test` operation did not hold), Invalid."""
        ...

    async def delete(
        self,
        resource: Resource,
        namespace: str,
        name: str,
        *,
        uid: str,
        resource_version: str = "",
        grace_seconds: int | None = None,
    ) -> None:
        """Delete one life of an object; NotFound, Conflict when uid or resourceVersion differ."""
        ...
