"""Decides where a package lies on a node, and by which variables commands find it. Pure.

Source: Azure Batch, application packages: on Linux `AZ_BATCH_APP_PACKAGE_<id>_<version>`, with `.`, `-` and `#` made `_`, the case
kept; for the default version also without its suffix. The value is the folder.
"""

from collections.abc import Iterable
from typing import Protocol

from batchpools.api import names

_PREFIX = "AZ_BATCH_APP_PACKAGE_"
_FLAT = str.maketrans(".-#", "___")


class Placed(Protocol):
    """A package as far as its place goes."""

    @property
    def name(self) -> str:
        """Its id."""
        ...

    @property
    def version(self) -> str:
        """Which one."""
        ...

    @property
    def is_default(self) -> bool:
        """Whether that is the default one."""
        ...


def package_variables(packages: Iterable[Placed]) -> dict[str, str]:
    """What commands see of them."""
    variables: dict[str, str] = {}
    for one in packages:
        folder = f"{names.PACKAGES_DIR}/{one.name}/{one.version}"
        variables[_PREFIX + f"{one.name}_{one.version}".translate(_FLAT)] = folder
        if one.is_default:
            variables[_PREFIX + one.name.translate(_FLAT)] = folder
    return variables


def subject(name: str, version: str) -> str:
    """How a sentence about a version begins, on a node and wherever it is read again."""
    return f"Application package {name} {version}"
