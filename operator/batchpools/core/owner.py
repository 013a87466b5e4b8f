"""Says how a child names its owner (safety rule S7.1: for people and the garbage collector; no decision relies on it). Pure."""

from typing import Any

from batchpools.api import names
from batchpools.core.views import Meta


def owner_reference(kind: str, owner: Meta) -> dict[str, Any]:
    """The controller reference to one life of an object of ours."""
    return {
        "apiVersion": names.API_VERSION,
        "kind": kind,
        "name": owner.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }
