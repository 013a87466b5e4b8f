"""What the API server may answer, by meaning. `sentence` is the server's own message, fit for a condition."""

import msgspec


class KubeError(Exception):
    """Any refusal or failure; status is the HTTP code, 0 when there was no answer."""

    def __init__(self, sentence: str, status: int = 0, reason: str = "", retry_after: float = 0.0) -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class NotFoundError(KubeError):
    """404."""


class AlreadyExistsError(KubeError):
    """409 of a create."""


class ConflictError(KubeError):
    """409 of anything else: a resourceVersion or precondition differs."""


class TestFailedError(KubeError):
    """422 of a JSON Patch whose `test` operation did not hold."""

    __test__ = False  # not a test class


class InvalidError(KubeError):
    """400 or 422: the object is refused."""


class ForbiddenError(KubeError):
    """403: rights, quota, admission."""


class UnauthorizedError(KubeError):
    """401."""


class GoneError(KubeError):
    """410: the resourceVersion or page token is too old."""


class TooManyRequestsError(KubeError):
    """429: turned away before anything was done."""


class ServerError(KubeError):
    """5xx: whether anything was done is not known."""


class UnavailableError(ServerError):
    """503: try again later; `retry_after` is 0 when the server did not say when."""


class UnreachableError(KubeError):
    """No answer: connection refused, reset, or out of time."""


class _Status(msgspec.Struct):
    message: str = ""
    reason: str = ""


def error_of(
    status: int, body: bytes, *, method: str, patch_tested: bool = False, retry_after: float = 0.0
) -> KubeError:
    """The error that an answer means. patch_tested: the request was a JSON Patch that begins with a test."""
    try:
        told = msgspec.json.decode(body, type=_Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        told = _Status(message=body[:300].decode(errors="replace"))
    kind = _kind(status, told, method, patch_tested)
    return kind(told.message or f"HTTP {status}", status, told.reason, retry_after)


_BY_STATUS: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    403: ForbiddenError,
    404: NotFoundError,
    410: GoneError,
    422: InvalidError,
    429: TooManyRequestsError,
    503: UnavailableError,
}


def _kind(status: int, told: _Status, method: str, patch_tested: bool) -> type[KubeError]:
    if status == 409:
        return AlreadyExistsError if method == "POST" and told.reason == "AlreadyExists" else ConflictError
    if status == 422 and patch_tested and _is_failed_test(told.message):
        return TestFailedError
    return _BY_STATUS.get(status, ServerError)


def _is_failed_test(message: str) -> bool:
    """Whether a patch could not be applied: a failed test, or a path that is not there.

    The API server (seen on 1.37) says this sentence then and only then. A refused object is told by its name and field, and a
    webhook's denial in the webhook's words: taking either for a failed test would lose a result.
    """
    return message == "the server rejected our request due to an error in our request"
