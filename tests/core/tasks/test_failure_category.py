"""Whose fault a failure is, by its code: what a user can mend, and what the machines did."""

import pytest

from batchpools.api.reasons import FailureCode
from batchpools.api.states import FailureCategory
from batchpools.core.tasks.failure_category import category_of


@pytest.mark.parametrize(
    ("code", "category"),
    [
        (FailureCode.BLOB_NOT_FOUND, FailureCategory.USER_ERROR),
        (FailureCode.RESOURCE_CONTAINER_ACCESS_DENIED, FailureCategory.USER_ERROR),
        (FailureCode.COMMAND_PROGRAM_NOT_FOUND, FailureCategory.USER_ERROR),
        (FailureCode.BLOB_DOWNLOAD_TIMED_OUT, FailureCategory.SERVER_ERROR),
        (FailureCode.RESOURCE_FILE_CREATE_FAILED, FailureCategory.SERVER_ERROR),
        (FailureCode.DISK_FULL, FailureCategory.SERVER_ERROR),
        ("a word of a later release", FailureCategory.USER_ERROR),
    ],
)
def test_what_is_not_there_is_the_users_and_what_fails_on_the_way_the_servers(
    code: str, category: FailureCategory
) -> None:
    assert category_of(code) == category
