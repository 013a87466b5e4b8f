"""What the aggregated API says of itself, and how it says no: Kubernetes Status objects with a sentence.

Its OpenAPI documents are empty, for its answers are text and plain JSON; without them the API server logs errors for ever.
"""

from typing import Any

from aiohttp import web

from batchpools.api import names

GROUP_VERSION = f"{names.OPS_GROUP}/{names.VERSION}"


def group_list() -> dict[str, Any]:
    """/apis."""
    return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [group()]}


def group() -> dict[str, Any]:
    """/apis/ops.batchpools.dev."""
    version = {"groupVersion": GROUP_VERSION, "version": names.VERSION}
    return {
        "kind": "APIGroup",
        "apiVersion": "v1",
        "name": names.OPS_GROUP,
        "versions": [version],
        "preferredVersion": version,
    }


def resource_list() -> dict[str, Any]:
    """/apis/ops.batchpools.dev/v1beta1."""
    resources = [
        {"name": f"tasks/{verb}", "singularName": "", "namespaced": True, "kind": kind, "verbs": ["get"]}
        for verb, kind in (("logs", "TaskLogs"), ("explain", "TaskExplanation"))
    ]
    resources.append(
        {"name": "noderuns", "singularName": "noderuns", "namespaced": True, "kind": "NodeRuns", "verbs": ["list"]}
    )
    resources.append(
        {"name": "pools/evaluate", "singularName": "", "namespaced": True, "kind": "AutoScaleRun", "verbs": ["create"]}
    )
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": GROUP_VERSION, "resources": resources}


def openapi_v2() -> dict[str, Any]:
    """/openapi/v2."""
    return {"swagger": "2.0", "info": {"title": names.OPS_GROUP, "version": names.VERSION}, "paths": {}}


def openapi_v3() -> dict[str, Any]:
    """/openapi/v3."""
    return {"paths": {}}


def no_leader(sentence: str) -> web.Response:
    """There is nobody to ask at the moment; a client asks again."""
    return refusal(503, "ServiceUnavailable", sentence)


def cut(request: web.Request) -> None:
    """End the connection without the last chunk: the reader must not take a part for the whole."""
    if request.transport is not None:
        request.transport.abort()


def refusal(status: int, reason: str, sentence: str) -> web.Response:
    """A Status object."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": sentence,
        "reason": reason,
        "code": status,
    }
    headers = {"Retry-After": "1"} if status == 503 else {}
    return web.json_response(body, status=status, headers=headers)
