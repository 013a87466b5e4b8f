"""The user's own access to the cluster: credentials and namespace of the current context, and what the verbs read through it."""

import sys
from collections.abc import AsyncIterator
from typing import Any, TextIO, TypeVar

import msgspec

from batchpools.api import names
from batchpools.core.views import TaskView, View
from batchpools.kube.client import KubeClient
from batchpools.kube.credentials import load_credentials
from batchpools.kube.errors import KubeError, NotFoundError
from batchpools.kube.port import Resource
from batchpools.kube.resources import TASKS

ViewT = TypeVar("ViewT", bound=View)
OPS = f"/apis/{names.OPS_GROUP}/{names.VERSION}"


class Access:
    """A client, the namespace, and where to write."""

    def __init__(self, client: KubeClient, namespace: str, *, show: bool = False, out: TextIO | None = None) -> None:
        self.client = client
        self.namespace = namespace
        self.out = out or sys.stdout
        self._show = show

    @classmethod
    def of_user(cls, namespace: str, *, show: bool = False) -> "Access":
        """From the current kubectl context; KubeError with a sentence when there is none."""
        try:
            credentials = load_credentials()
        except Exception as error:  # noqa: BLE001 (whatever is wrong with a kubeconfig, a sentence must do)
            raise KubeError(f"no cluster to talk to: {error}") from None
        return cls(KubeClient(credentials), namespace or _context_namespace(), show=show)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    def say(self, line: str = "", *, end: str = "\n") -> None:
        """Print."""
        print(line, end=end, file=self.out, flush=True)

    def show(self, command: str) -> None:
        """Print the raw kubectl command, if the user wants to learn it."""
        if self._show:
            self.say(f"$ {command}")

    async def one(self, resource: Resource, view: type[ViewT], name: str) -> ViewT:
        """One object of the namespace; NotFound."""
        return msgspec.json.decode(await self.client.get(resource, self.namespace, name), type=view)

    async def all(
        self, resource: Resource, view: type[ViewT], *, field_selector: str = "", everywhere: bool = False
    ) -> list[ViewT]:
        """All objects of the namespace, or of all."""
        found: list[ViewT] = []
        page = ""
        while True:
            namespace = "" if everywhere else self.namespace
            answer = await self.client.list(resource, namespace, field_selector=field_selector, page=page)
            found += [msgspec.json.decode(raw, type=view) for raw in answer.items]
            page = answer.next_page
            if not page:
                return sorted(found, key=_place)

    async def task(self, name: str) -> TaskView:
        """A task by its object's name, or as `job/id`; NotFound with a sentence."""
        job, slash, task_id = name.partition("/")
        if not slash:
            return await self.one(TASKS, TaskView, name)
        for view in await self.all(TASKS, TaskView, field_selector=f"spec.jobName={job}"):
            if (view.spec.id or view.metadata.name).lower() == task_id.lower():
                return view
        raise NotFoundError(f"job {job!r} has no task {task_id!r} in namespace {self.namespace!r}", 404)

    def ops_path(self, task: TaskView, verb: str) -> str:
        """The path of a task's logs or explanation."""
        return f"{OPS}/namespaces/{self.namespace}/tasks/{task.metadata.name}/{verb}"

    async def ask_ops(self, path: str) -> Any:
        """A JSON answer of the aggregated API."""
        try:
            return msgspec.json.decode(await self.client.raw(path))
        except KubeError as error:
            raise _without_ops(error) from None

    async def stream_ops(self, path: str, query: dict[str, str]) -> AsyncIterator[bytes]:
        """An answer of the aggregated API, as it comes."""
        try:
            async for piece in self.client.raw_lines(path, query):
                yield piece
        except KubeError as error:
            raise _without_ops(error) from None


def _without_ops(error: KubeError) -> KubeError:
    """Whether the task is not there or the whole API is not: the second needs other words."""
    missing = error.status == 404 and "could not find the requested resource" in error.sentence
    if missing or (error.status == 503 and "service unavailable" in error.sentence.lower()):
        return KubeError(
            "the aggregated API ops.batchpools.dev does not answer: logs and explanations cannot be had "
            "(kubectl get apiservice v1beta1.ops.batchpools.dev)",
            error.status,
        )
    return error


def _context_namespace() -> str:
    from kubernetes import config  # noqa: PLC0415 (a second of import)

    try:
        _, current = config.list_kube_config_contexts()  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return "default"
    return str(current.get("context", {}).get("namespace") or "default")


def _place(view: Any) -> tuple[str, str]:
    return (view.metadata.namespace, view.metadata.name)
