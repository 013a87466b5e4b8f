"""A memory cgroup with a limit, of whichever version this machine has; where none is to be had the test is skipped."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest


@contextlib.contextmanager
def memory_cgroup(limit: int) -> Iterator[Path]:
    """Its directory. limit in bytes. What lives in it at the end is killed."""
    folder = _own() / f"test-{uuid4().hex[:8]}"
    try:
        folder.mkdir()
    except OSError as error:
        pytest.skip(f"no memory cgroup can be made here: {error}")
    try:
        file = next(
            (folder / name for name in ("memory.limit_in_bytes", "memory.max") if (folder / name).exists()), None
        )
        if file is None:
            pytest.skip("no memory controller is delegated to this process")
        file.write_text(str(limit))
        yield folder
    finally:
        _remove(folder)


def _own() -> Path:
    """This process's: in version 1 if there is one, else in version 2."""
    paths = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    if "memory" in paths:
        return Path("/sys/fs/cgroup/memory") / paths["memory"].lstrip("/")
    return Path("/sys/fs/cgroup") / paths.get("", "/").lstrip("/")


def _remove(folder: Path) -> None:
    for _ in range(500):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        try:
            folder.rmdir()
        except OSError:
            time.sleep(0.01)  # the kernel still counts what was killed
        else:
            return
    raise AssertionError(f"{folder} does not get empty")
