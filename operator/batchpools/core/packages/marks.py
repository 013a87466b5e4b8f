"""Decides how a pod tells which application packages it was made with: one annotation. Pure.

`<name>/<version>=<fingerprint>`, an asterisk after a version that is the default one, with spaces between them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from batchpools.api import names
from batchpools.core.node_config import PackageConfig

_MARK = re.compile(r"([a-z0-9-]+)/([A-Za-z0-9._-]+)(\*?)=([0-9a-f]+)")


class Mark(NamedTuple):
    """A package of a pod."""

    name: str
    version: str
    is_default: bool
    fingerprint: str


def marks(packages: Iterable[PackageConfig]) -> str:
    """The annotation's value; empty without any."""
    return " ".join(f"{one.name}/{one.version}{'*' * one.is_default}={one.fingerprint}" for one in packages)


def marks_of(annotations: Mapping[str, str]) -> list[Mark]:
    """What a pod's annotations say; what is no mark is passed over."""
    found = map(_MARK.fullmatch, annotations.get(names.ANNOTATION_PACKAGES, "").split())
    return [Mark(one[1], one[2], bool(one[3]), one[4]) for one in found if one is not None]
