"""Tries to speak to the runner in the agent's place, and to put another program where the runner is."""

import errno
import json
import os
import pathlib
import shutil
import socket
import struct

BINARY = pathlib.Path("/batchpools/bin/runner")


def attempt(what: object) -> str:
    """The errno that refuses it, or what it got."""
    try:
        return str(what())  # type: ignore[operator]
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def speak(name: str) -> str:
    """What the runner answers to a hello and a request to run something."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.settimeout(10)
        link.connect("\0" + name)
        for frame in (
            {"op": "hello", "version": 2},
            {"op": "run", "id": "evil", "dir": "evil", "argv": ["touch", "/mnt/batch/shared/evil"]},
        ):
            text = json.dumps(frame).encode()
            link.sendall(struct.pack(">I", len(text)) + text)
        return link.recv(1000).decode(errors="replace") or "closed"


def take(name: str) -> str:
    """Listen in the runner's place."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as link:
        link.bind("\0" + name)
    return "taken"


print(
    json.dumps(
        {
            "speak": attempt(lambda: speak("batchpools-runner")),
            "take": attempt(lambda: take("batchpools-runner")),
            "open": attempt(lambda: BINARY.open("r+b")),
            "unlink": attempt(BINARY.unlink),
            "rename": attempt(lambda: BINARY.rename(BINARY.with_name("other"))),
            "beside": attempt(lambda: shutil.copy("/bin/true", BINARY.with_name("other"))),
            "chmod": attempt(lambda: BINARY.chmod(0o777)),
            "by PID 1": attempt(lambda: os.open("/proc/1/exe", os.O_RDWR)),
        }
    )
)
