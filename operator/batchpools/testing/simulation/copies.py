"""Does something in a copy of this process (fork), which ends with it. For processes without threads of their own."""

import os
import pickle
import traceback
from collections.abc import Callable
from typing import TypeVar

ResultT = TypeVar("ResultT")


def in_a_copy(work: Callable[[], ResultT]) -> ResultT:
    """What `work` returns there; RuntimeError with the copy's traceback, or with its exit status when it died without a word."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _work(work, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    _, status = os.waitpid(child, 0)
    if not told:
        raise RuntimeError(f"the copy ended without a word, exit code {os.waitstatus_to_exitcode(status)}")
    is_result, value = pickle.loads(told)  # noqa: S301 (of our own copy)
    if not is_result:
        raise RuntimeError(value)
    return value  # type: ignore[no-any-return]


def _work(work: Callable[[], ResultT], writing: int) -> None:
    """Never returns: what the original would do on its way out is not the copy's to do."""
    try:
        told = pickle.dumps((True, work()))
    except BaseException:  # noqa: BLE001 (the original raises it)
        told = pickle.dumps((False, traceback.format_exc()))
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(told)
    os._exit(0)
