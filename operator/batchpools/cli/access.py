"""The user's own access to the cluster: credentials and namespace of the current context, and what the verbs read through it."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TextIO, TypeVar

import msgspec

from batchpools.api import names
from batchpools.core.views import Meta, TaskView, View
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import NotFoundError
from batchpools.kube.port import ListPage, PatchOperation, Resource
from batchpools.kube.resources import TASKS
from batchpools.telemetry.clock import Clock, SystemClock

ViewT = TypeVar("ViewT", bound=View)


class CliError(Exception):
    """Something that the user can put right: a sentence and an exit code."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


class Reader(Protocol):
    """What the verbs need of an API server: `kube.client.KubeClient`."""

    async def get(self, resource: Resource, namespace: str, name: str) -> bytes:
        """One object."""
        ...

    async def list(
        self, resource: Resource, namespace: str = "", *, field_selector: str = "", page: str = ""
    ) -> ListPage:
        """A page of objects."""
        ...

    async def patch(self, resource: Resource, namespace: str, name: str, operations: Sequence[PatchOperation]) -> bytes:
        """JSON Patch, with the user's own rights."""
        ...

    async def raw(self, path: str, query: Mapping[str, str] | None = None) -> bytes:
        """GET of any path."""
        ...

    async def post_raw(self, path: str, body: Any) -> bytes:
        """POST of JSON to any path."""
        ...

    def raw_lines(self, path: str, query: Mapping[str, str] | None = None) -> AsyncGenerator[bytes, None]:
        """GET of any path as it arrives."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class _Named(msgspec.Struct):
    metadata: Meta


@dataclass
class Access:
    """A client, the namespace, where to write, and the time. `show`: print the raw kubectl commands too."""

    client: Reader
    namespace: str
    show: bool = False
    out: TextIO = field(default_factory=lambda: sys.stdout)
    aside: TextIO = field(default_factory=lambda: sys.stderr)
    clock: Clock = field(default_factory=SystemClock)
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep

    @classmethod
    def of_user(cls, namespace: str, *, show: bool = False) -> "Access":
        """From the current kubectl context; CliError with a sentence when there is none."""
        try:
            credentials = load_credentials()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with a kubeconfig, a sentence must do)
            raise CliError(f"no cluster to talk to: {error}") from None
        return cls(KubeClient(credentials), namespace or _context_namespace(), show)

    # ---------------------------------------------------------------- saying

    def say(self, line: str = "", *, end: str = "\n") -> None:
        """Print."""
        print(line, end=end, file=self.out, flush=True)

    def copy(self, piece: bytes) -> None:
        """Print bytes as they are: a task may write what is no text."""
        self.out.buffer.write(piece)
        self.out.buffer.flush()

    def note(self, line: str) -> None:
        """Say something beside the output, which may go into a file or a pipe."""
        print(line, file=self.aside, flush=True)

    def teach(self, command: str) -> None:
        """Print the raw kubectl command, if the user wants to learn it."""
        if self.show:
            self.note(f"$ {command}")

    # ---------------------------------------------------------------- reading

    async def one(self, resource: Resource, view: type[ViewT], name: str) -> ViewT:
        """One object of the namespace; NotFound."""
        return msgspec.json.decode(await self.client.get(resource, self.namespace, name), type=view)

    async def every(self, resource: Resource, *, field_selector: str = "", everywhere: bool = False) -> list[bytes]:
        """All objects of the namespace, or of all, as JSON, by namespace and name; without the operator's own."""
        found: list[tuple[Meta, bytes]] = []
        page = ""
        while True:
            namespace = "" if everywhere else self.namespace
            answer = await self.client.list(resource, namespace, field_selector=field_selector, page=page)
            found += [(msgspec.json.decode(raw, type=_Named).metadata, raw) for raw in answer.items]
            page = answer.next_page
            if not page:
                break
        shown = [(meta, raw) for meta, raw in found if names.LABEL_INTERNAL not in meta.labels]
        return [raw for _, raw in sorted(shown, key=lambda one: (one[0].namespace, one[0].name))]

    async def task(self, name: str) -> TaskView:
        """A task by its object's name, or as `job/id`; NotFound with a sentence."""
        job, slash, task_id = name.partition("/")
        if not slash:
            return await self.one(TASKS, TaskView, name)
        for raw in await self.every(TASKS, field_selector=f"spec.jobName={job}"):
            view = msgspec.json.decode(raw, type=TaskView)
            if (view.spec.id or view.metadata.name).lower() == task_id.lower():
                return view
        raise NotFoundError(f"job {job!r} has no task {task_id!r} in namespace {self.namespace!r}", 404)


def _context_namespace() -> str:
    from kubernetes import config  # noqa: PLC0415 (a second of import)

    try:
        _, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(current.get("context", {}).get("namespace") or "default")
