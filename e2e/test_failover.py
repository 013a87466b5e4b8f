"""A change of leaders amid 2,000 tasks that run and wait: how long nothing is dispatched, and that no run is disturbed."""

import pytest

from e2e.bench.failover import LONG, Failover, told
from e2e.cluster.local import LocalCluster
from e2e.operator_install import Installation

LEASE = 6.0  # seconds, of the operator that all stories use


@pytest.mark.timeout(600)
def test_amid_2000_tasks_the_next_leader_dispatches_soon_and_no_run_is_disturbed(
    operator: Installation, capsys: pytest.CaptureFixture[str]
) -> None:
    """The figures are printed; the bounds leave room for a busy machine (`make bench-failover` measures)."""
    if not isinstance(operator.cluster, LocalCluster):
        pytest.skip("the operator's processes have to be on this machine: a signal is sent to the leading one")
    failover = Failover(operator, "e2e-failover")
    try:
        failover.begin()
        crash, leave = failover.crash(), failover.leave()
        with capsys.disabled():
            print("\n" + told([crash, leave], f"a Lease of {LEASE:.0f} s"))
        assert crash.dispatched <= LEASE + 4
        assert leave.dispatched <= LEASE / 2  # it was given back: nobody waited for it to run out
        assert failover.running() == LONG
        assert failover.disturbed() == []
    finally:
        failover.end()
