"""Asks the aggregated API, as `kubectl get --raw` would, and puts into words what it means when nobody answers."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, TypeVar

import msgspec

from batchpools.api import names
from batchpools.cli.access import Access, CliError
from batchpools.core.views import TaskView
from batchpools.kube.errors import KubeError, UnreachableError

AnswerT = TypeVar("AnswerT")

# What the API server says itself, in the place of an operator that is not there (or has no aggregated API).
_NOT_OURS = (
    "404 page not found",
    "could not find the requested resource",
    "service unavailable",
    "error trying to reach service",
)


def path_to(access: Access, task: TaskView, verb: str) -> str:
    """The path of a task's logs or explanation."""
    base = f"/apis/{names.OPS_GROUP}/{names.VERSION}"
    return f"{base}/namespaces/{access.namespace}/tasks/{task.metadata.name}/{verb}"


async def ask(access: Access, path: str, answer: type[AnswerT]) -> AnswerT:
    """A JSON answer; CliError when there is no such API, or it speaks another language."""
    try:
        return msgspec.json.decode(await access.client.raw(path), type=answer)
    except KubeError as error:
        raise _in_other_words(error) from None
    except msgspec.DecodeError as error:
        raise CliError(f"the operator's answer cannot be read, it may be of another version: {error}") from None


async def order(access: Access, path: str, body: Any, answer: type[AnswerT]) -> AnswerT:
    """A JSON answer to a POST; errors as `ask`."""
    try:
        return msgspec.json.decode(await access.client.post_raw(path, body), type=answer)
    except KubeError as error:
        raise _in_other_words(error) from None
    except msgspec.DecodeError as error:
        raise CliError(f"the operator's answer cannot be read, it may be of another version: {error}") from None


async def stream(access: Access, path: str, query: Mapping[str, str]) -> AsyncIterator[bytes]:
    """An answer as it comes; CliError when it is cut."""
    begun = False
    try:
        async for piece in access.client.raw_lines(path, query):
            begun = True
            yield piece
    except UnreachableError as error:
        if begun:
            raise CliError("the output was cut: the node or the operator went away; ask again") from None
        raise error from None
    except KubeError as error:
        raise _in_other_words(error) from None


def _in_other_words(error: KubeError) -> Exception:
    """What the operator said itself stays as it is."""
    if not any(words in error.sentence.lower() for words in _NOT_OURS):
        return error
    return CliError(
        f"the aggregated API {names.OPS_GROUP} does not answer, so logs, explanations and live states cannot be had; see: "
        f"kubectl get apiservice {names.VERSION}.{names.OPS_GROUP}"
    )
