"""Reads what a pool's Secrets and ConfigMaps hold, where the kubelet mounted them for the agent alone (safety rule S8.7).

No value leaves this process but in the environment of the command that asked for it.
"""

from collections.abc import Sequence
from pathlib import Path

from batchpools.agent.places import Places
from batchpools.core.node_config import EnvReference


def read_references(places: Places, references: Sequence[EnvReference]) -> dict[str, str | None]:
    """Values by variable; None for an optional one that is not there. ValueError with a sentence when one cannot be had."""
    return {one.variable: _value(places, one) for one in references}


def missing_certificates(places: Places, certificates: Sequence[str]) -> str:
    """Which of the pool's certificates were not there since the pod began, as a sentence; empty when all have been.

    That they were is noted: a Secret that goes later does not keep a restarted agent from the tasks that run.
    """
    noted = places.journal_file.with_name("certificates-seen")
    if not certificates or noted.exists():
        return ""
    missing = [name for name in certificates if not _has_files(places.certificates_dir / name)]
    if missing:
        return (
            f"Secret {', '.join(missing)} of certificateReferences does not exist or is empty; the node waits for it."
        )
    noted.touch()
    return ""


def _has_files(folder: Path) -> bool:
    """What begins with two dots is the kubelet's."""
    try:
        return any(not one.name.startswith("..") for one in folder.iterdir())
    except OSError:
        return False


def _is_plain(word: str) -> bool:
    """Whether it is the name of one thing in a folder."""
    return "/" not in word and word not in {"", ".", ".."}


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file can have
        return False


def _value(places: Places, one: EnvReference) -> str | None:
    file = places.references_dir.joinpath(one.kind, one.name, one.key)
    if not (all(map(_is_plain, (one.kind, one.name, one.key))) and _is_file(file)):
        if one.optional:
            return None
        raise ValueError(f"{one.variable}: {one.kind} {one.name} has no key {one.key} on this node")
    try:
        value = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise ValueError(f"{one.variable}: key {one.key} of {one.kind} {one.name} is no text") from None
    if "\0" in value:
        raise ValueError(f"{one.variable}: key {one.key} of {one.kind} {one.name} holds a zero byte")
    return value
