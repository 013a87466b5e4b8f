"""Decides whose fault a failure is. Pure.

Source: REST article on error codes: not found, denied, program missing, launch failed and ended are the user's; time-outs,
miscellaneous errors, what cannot be created or written, and full disks are the server's.
"""

from batchpools.api.reasons import FailureCode
from batchpools.api.states import FailureCategory

_SERVER_ERRORS = {
    FailureCode.BLOB_DOWNLOAD_TIMED_OUT,
    FailureCode.BLOB_DOWNLOAD_MISC_ERROR,
    FailureCode.DISK_FULL,
    FailureCode.RESOURCE_CONTAINER_LIST_MISC_ERROR,
    FailureCode.RESOURCE_CONTAINER_LIST_TIMED_OUT,
    FailureCode.RESOURCE_DIRECTORY_CREATE_FAILED,
    FailureCode.RESOURCE_FILE_CREATE_FAILED,
    FailureCode.RESOURCE_FILE_WRITE_FAILED,
}


def category_of(code: str) -> FailureCategory:
    """Of a failure that is no passed limit, by its `FailureCode`; a code that is none is the user's."""
    return FailureCategory.SERVER_ERROR if code in _SERVER_ERRORS else FailureCategory.USER_ERROR
