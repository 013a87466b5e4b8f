"""Where the target of a pool comes from, and what becomes of the runs of nodes that leave."""

import pytest
from msgspec.structs import replace
from tests.core.pools.situations import node, pool

from batchpools.api.states import NodeDeallocationOption
from batchpools.core.pools.emptying import emptied_by, why_ended
from batchpools.core.pools.target import Target, asked_for, target_of
from batchpools.core.tasks.lifecycle import Why
from batchpools.core.views import AutoScale, AutoScaleRun, PoolStatus

REQUEUE, TERMINATE, TASK_COMPLETION, RETAINED_DATA = NodeDeallocationOption


def test_the_target_is_the_specs() -> None:
    asked = pool(3, target_low_priority_nodes=2, node_deallocation_option="Terminate")
    assert target_of(asked) == Target(3, 2, TERMINATE)
    assert target_of(asked).nodes == 5


TOLD = PoolStatus(target_dedicated_nodes=4, target_low_priority_nodes=1, node_deallocation_option="TaskCompletion")
FORMULA = AutoScale(formula="$TargetDedicatedNodes = 4")


def test_an_autoscaled_pool_has_the_target_and_the_option_that_an_evaluation_wrote() -> None:
    asked = pool(0, status=TOLD, auto_scale=FORMULA)
    assert target_of(asked) == Target(4, 1, TASK_COMPLETION)
    assert target_of(replace(asked, status=PoolStatus())) == Target(0, 0, REQUEUE)


def test_a_pool_whose_autoscaling_was_switched_off_keeps_its_size_until_its_spec_has_targets() -> None:
    told = replace(TOLD, auto_scale_run=AutoScaleRun())
    assert target_of(pool(0, status=told)) == Target(4, 1, REQUEUE)
    assert target_of(pool(2, status=told)) == Target(2, 0, REQUEUE)
    assert target_of(pool(0, status=told, target_low_priority_nodes=3)) == Target(0, 3, REQUEUE)
    assert target_of(pool(0, status=told, deleted=True)) == Target()


def test_a_stopped_resize_holds_until_the_specs_targets_change() -> None:
    asked = pool(5, node_deallocation_option="Terminate")
    stopped = replace(asked, status=PoolStatus(target_dedicated_nodes=2, stopped_resize=asked_for(asked)))
    assert target_of(stopped) == Target(2, 0, TERMINATE)
    assert target_of(replace(stopped, spec=pool(6).spec)) == Target(6, 0, REQUEUE)


def test_a_pool_that_is_deleted_goes_to_nothing_by_requeue() -> None:
    assert target_of(pool(5, deleted=True, node_deallocation_option="TaskCompletion")) == Target(0, 0, REQUEUE)


@pytest.mark.parametrize("option", list(NodeDeallocationOption))
def test_a_node_that_leaves_is_emptied_by_the_present_option_of_its_pool(option: NodeDeallocationOption) -> None:
    asked = pool(node_deallocation_option=option)
    assert emptied_by(node(), asked) is None
    assert emptied_by(node(deleted=True), asked) is option
    assert emptied_by(node(deleted=True), pool(deleted=True, node_deallocation_option=option)) is REQUEUE
    assert emptied_by(node(deleted=True), None) is REQUEUE


def test_only_two_options_kill() -> None:
    killed = {option: why_ended(option) for option in NodeDeallocationOption}
    assert killed == {REQUEUE: Why.DRAINED, TERMINATE: Why.TERMINATED, TASK_COMPLETION: None, RETAINED_DATA: None}
