"""What a preset means: minNodes, maxNodes and idleTimeout as a formula, which status shows. Pure.

It follows slots, not tasks; it grows at once, and shrinks when the demand of the whole idleTimeout was lower, which has to be
known: while samples are missing (a new pool, a new leader) it does not shrink. Nodes leave when their tasks have ended.
All of its nodes are dedicated ones: maxNodes bounds the pool, so low-priority nodes of before it was switched on leave too.
"""

from datetime import timedelta

from batchpools.api.durations import parse_duration
from batchpools.core.autoscale.series import PERIOD
from batchpools.core.views import AutoScale

FORMULA_INTERVAL = "15m"  # Azure's default
PRESET_INTERVAL = "15s"
IDLE_TIMEOUT = "5m"

_TEMPLATE = """\
// preset: minNodes {least}, maxNodes {most}, idleTimeout {idle}
window = {seconds} * TimeInterval_Second;
needed = ceil($PendingTaskSlots / $TaskSlotsPerNode);
known = $PendingTaskSlots.GetSamplePercent(window) >= 80;
lately = known ? ceil(max($PendingTaskSlots.GetSample(window)) / $TaskSlotsPerNode) : $TargetDedicatedNodes;
$TargetDedicatedNodes = max({least}, min({most}, max(needed, lately)));
$TargetLowPriorityNodes = 0;
$NodeDeallocationOption = taskcompletion;
"""


def is_preset(asked: AutoScale) -> bool:
    """Whether a pool is scaled by bounds, not by a formula of its own."""
    return not asked.formula


def formula_of(asked: AutoScale) -> str:
    """The formula that a pool is scaled by."""
    if not is_preset(asked):
        return asked.formula
    idle = asked.idle_timeout or IDLE_TIMEOUT
    seconds = max(parse_duration(idle), PERIOD)  # a shorter window might hold no sample
    return _TEMPLATE.format(least=asked.min_nodes or 0, most=asked.max_nodes or 0, idle=idle, seconds=f"{seconds:g}")


def interval_of(asked: AutoScale) -> timedelta:
    """How often it is evaluated."""
    default = PRESET_INTERVAL if is_preset(asked) else FORMULA_INTERVAL
    return timedelta(seconds=parse_duration(asked.evaluation_interval or default))
