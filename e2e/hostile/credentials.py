"""Tries to read the node's token and other credentials, by every path that a process of a pod can think of."""

import errno
import glob
import json
import os
import pathlib

PLACE = "batchpools/token/token"


def look(path: str) -> str:
    """The errno that refuses it, or what is there."""
    try:
        return pathlib.Path(path).read_text(errors="replace")[:40] or "empty"
    except OSError as error:
        return errno.errorcode[error.errno or 0]


def main() -> None:
    """Print {path: answer}, and the directories that could be looked into."""
    told = {path: look(path) for path in (f"/{PLACE}", "/batchpools/agent/state", "/proc/1/environ", "/proc/1/mem")}
    told |= {f"{root}/{PLACE}": look(f"{root}/{PLACE}") for root in sorted(glob.glob("/proc/[0-9]*/root"))}
    told |= {f"{cwd}/{PLACE}": look(f"{cwd}/{PLACE}") for cwd in sorted(glob.glob("/proc/[0-9]*/cwd"))}
    told["service account"] = look("/var/run/secrets/kubernetes.io/serviceaccount/token")
    found = []
    for folder, _, files in os.walk("/"):
        if not folder.startswith(("/proc", "/sys", "/usr", "/lib")):
            found += [f"{folder}/{file}" for file in files if "token" in file]
    print(json.dumps({"looked": told, "found": found}))


main()
