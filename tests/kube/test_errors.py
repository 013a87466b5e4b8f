"""What the API server's answers mean; the bodies are those of a 1.37."""

import json
from typing import Any

import pytest

from batchpools.kube.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidError,
    KubeError,
    ServerError,
    TestFailedError,
    UnavailableError,
    error_of,
)

FAILED_TEST = {
    "message": "the server rejected our request due to an error in our request",
    "reason": "Invalid",
    "details": {},
    "code": 422,
}
REFUSED = {
    "message": 'Probe.kubeprobe.dev "a" is invalid: status: Invalid value: epoch may not fall',
    "reason": "Invalid",
    "details": {"name": "a", "group": "kubeprobe.dev", "kind": "Probe"},
    "code": 422,
}
NOT_AN_OBJECT = {
    "message": ' "" is invalid: patch: Invalid value: "{}"',
    "reason": "Invalid",
    "details": {},
    "code": 422,
}
DENIED = {"message": 'admission webhook "x.y" denied the request: no', "reason": "Invalid", "code": 422}


def meaning(status: int, body: dict[str, Any], *, method: str = "PATCH", tested: bool = True) -> type[KubeError]:
    return type(error_of(status, json.dumps(body).encode(), method=method, patch_tested=tested))


def test_a_failed_test_is_one() -> None:
    assert meaning(422, FAILED_TEST) is TestFailedError


def test_a_patch_without_test_cannot_fail_one() -> None:
    assert meaning(422, FAILED_TEST, tested=False) is InvalidError


@pytest.mark.parametrize("body", [REFUSED, NOT_AN_OBJECT, DENIED], ids=["schema", "no-object", "webhook"])
def test_a_refusal_is_never_taken_for_another_life_of_the_object(body: dict[str, Any]) -> None:
    """Else a result would count as persisted that is not."""
    assert meaning(422, body) is InvalidError


def test_409_is_already_exists_only_for_a_create_that_says_so() -> None:
    taken = {"message": 'configmaps "a" already exists', "reason": "AlreadyExists"}
    quota = {"message": "Operation cannot be fulfilled on resourcequotas", "reason": "Conflict"}
    assert meaning(409, taken, method="POST") is AlreadyExistsError
    assert meaning(409, quota, method="POST") is ConflictError
    assert meaning(409, quota, method="PUT") is ConflictError


def test_503_and_other_failures_of_the_server_are_told_apart() -> None:
    assert meaning(503, {}) is UnavailableError
    assert meaning(504, {}) is ServerError


def test_a_body_that_is_not_json_is_the_sentence() -> None:
    error = error_of(404, b"404 page not found\n", method="GET")
    assert error.sentence == "404 page not found\n"
    assert error.status == 404
