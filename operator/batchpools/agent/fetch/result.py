"""What comes of fetching one thing: a value either way."""

from dataclasses import dataclass

from batchpools.api.reasons import FailureCode
from batchpools.api.states import FailureCategory
from batchpools.core.tasks.failure_category import category_of


@dataclass(frozen=True, slots=True)
class Fetched:
    """It is there, whole. size in bytes; sha256 in small hexadecimal digits."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class FetchFailure:
    """It is not there, and nothing is under its name that was not before. message: a sentence without secrets."""

    code: FailureCode
    message: str

    @property
    def category(self) -> FailureCategory:
        """Whose fault it is."""
        return category_of(self.code)


@dataclass(frozen=True, slots=True)
class Codes:
    """What the failures of a source are called."""

    not_found: FailureCode
    denied: FailureCode
    timed_out: FailureCode
    other: FailureCode


BLOB = Codes(
    FailureCode.BLOB_NOT_FOUND,
    FailureCode.BLOB_ACCESS_DENIED,
    FailureCode.BLOB_DOWNLOAD_TIMED_OUT,
    FailureCode.BLOB_DOWNLOAD_MISC_ERROR,
)
CONTAINER = Codes(
    FailureCode.RESOURCE_CONTAINER_NOT_FOUND,
    FailureCode.RESOURCE_CONTAINER_ACCESS_DENIED,
    FailureCode.RESOURCE_CONTAINER_LIST_TIMED_OUT,
    FailureCode.RESOURCE_CONTAINER_LIST_MISC_ERROR,
)
