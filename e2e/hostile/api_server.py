"""Tries the API server with what a task has: nothing, and a token that it made up."""

import json
import os
import ssl
import urllib.error
import urllib.request

host, port = (
    os.environ.get("KUBERNETES_SERVICE_HOST", "kubernetes.default.svc"),
    os.environ.get("KUBERNETES_SERVICE_PORT", "443"),
)
anything = ssl._create_unverified_context()  # noqa: S323, SLF001 (a hostile program)


def ask(path: str, token: str) -> str:
    """The HTTP status, or why there is none."""
    request = urllib.request.Request(f"https://{host}:{port}{path}")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=10, context=anything) as answer:  # noqa: S310
            return str(answer.status)
    except urllib.error.HTTPError as error:
        return str(error.code)
    except OSError as error:
        return repr(error)


paths = ("/api", "/api/v1/secrets", "/apis/batchpools.dev/v1beta1/tasks", "/apis/ops.batchpools.dev/v1beta1")
print(json.dumps({f"{path} {token}".strip(): ask(path, token) for path in paths for token in ("", "made.up.token")}))
