"""Decides how long a node that nobody reaches keeps its tasks, and what its state says meanwhile (rules S3.3, S3.4). Pure."""

from functools import lru_cache

from batchpools.api import names
from batchpools.api.durations import parse_duration
from batchpools.api.names import DEFAULT_UNREACHABLE_TIMEOUT
from batchpools.api.states import NodeState
from batchpools.core.views import PodView, PoolNodeStatus

# A node whose persisted state is one of these was sent nothing but what the status of its tasks tells.
_SET_ASIDE = frozenset({NodeState.DISCONNECTED, NodeState.UNKNOWN})


def is_set_aside(status: PoolNodeStatus) -> bool:
    """Whether the node's status says that nothing is sent to it."""
    return status.state in _SET_ASIDE


def unreachable_timeout(status: PoolNodeStatus) -> float:
    """T of the node's present pod, in seconds: fixed when the pod was made, so that leaders never disagree about it."""
    return _seconds(status.node_unreachable_timeout)


def timeout_of(pod: PodView) -> float:
    """The same, as the pod itself tells it: for one whose PoolNode is gone."""
    return _seconds(pod.metadata.annotations.get(names.ANNOTATION_UNREACHABLE_TIMEOUT, ""))


@lru_cache(maxsize=64)
def _seconds(text: str) -> float:
    return parse_duration(text) if text else DEFAULT_UNREACHABLE_TIMEOUT
