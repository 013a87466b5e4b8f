"""Who leads: never two at once, an epoch that only rises, and a loser that goes on as a standby. In virtual time."""

import asyncio
from typing import Any

import pytest

from batchpools.api import names
from batchpools.kube.errors import ConflictError, ForbiddenError, ServerError, UnreachableError
from batchpools.kube.lease import LeaderElector, Timing
from batchpools.kube.resources import LEASES
from batchpools.testing.fake_kube import FakeKube
from batchpools.testing.object_rules import Object
from batchpools.testing.virtual_time import VirtualClock, run_virtual

TIMING = Timing(lease=15, renew=10, retry=2)


class Candidate:
    """One replica: its elector, and what it was told."""

    def __init__(self, scene: "Scene", name: str) -> None:
        self.scene = scene
        self.name = name
        self.told: list[int | None] = []  # epochs that it led with, None = follow
        self.elector = LeaderElector(
            scene.server,
            scene.clock,
            namespace="ops",
            identity=name,
            timing=TIMING,
            on_lead=self._lead,
            on_follow=self._follow,
        )
        self.running: asyncio.Task[None] | None = None

    async def _lead(self, epoch: int) -> None:
        assert self.elector.epoch == epoch
        self.told.append(epoch)

    async def _follow(self) -> None:
        assert self.elector.epoch is None
        self.told.append(None)

    def start(self) -> None:
        self.running = asyncio.create_task(self.elector.run())

    async def crash(self) -> None:
        """Nothing is given back, and nothing more is done."""
        self.scene.candidates.remove(self)
        if self.running is not None:
            self.running.cancel()
            await asyncio.gather(self.running, return_exceptions=True)

    async def stop(self) -> None:
        await self.crash()
        await self.elector.release()


class Scene:
    """An API server and candidates; `leaders` is checked at each tenth of a second."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.server = FakeKube(clock)
        self.candidates: list[Candidate] = []

    def candidate(self, name: str) -> Candidate:
        one = Candidate(self, name)
        self.candidates.append(one)
        one.start()
        return one

    @property
    def leaders(self) -> list[str]:
        return [one.name for one in self.candidates if one.elector.epoch is not None]

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds * 10)):
            await asyncio.sleep(0.1)
            assert len(self.leaders) <= 1, "two lead at once"

    async def until_leader(self, candidate: Candidate) -> None:
        while candidate.elector.epoch is None:
            await self.pass_time(0.1)

    def lease(self) -> Object:
        held = self.server.object(LEASES, "ops", names.LEASE_NAME)
        assert held is not None
        spec: Object = held["spec"]
        return spec


async def _write_into(scene: Scene, text: str) -> None:
    """Somebody else changes the Lease, and not who holds it."""
    note = [{"op": "add", "path": "/metadata/labels", "value": {"look": text}}]
    await scene.server.patch(LEASES, "ops", names.LEASE_NAME, note)


def play(story: Any) -> None:
    async def main(clock: VirtualClock) -> None:
        scene = Scene(clock)
        await story(scene)
        for one in list(scene.candidates):
            await one.crash()

    run_virtual(main)


def test_of_two_candidates_one_leads_and_keeps_leading() -> None:
    async def story(scene: Scene) -> None:
        a, b = scene.candidate("a"), scene.candidate("b")
        await scene.pass_time(120)
        assert len(scene.leaders) == 1
        assert sorted([a.told, b.told]) == [[], [1]]

    play(story)


def test_a_released_lease_is_taken_at_once_and_the_epoch_rises() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        b = scene.candidate("b")
        await scene.pass_time(5)
        await a.stop()
        assert a.told == [1, None]
        assert scene.lease()["holderIdentity"] == ""
        await scene.pass_time(0.1)
        assert b.told == [2]
        assert scene.lease()["leaseTransitions"] == 2

    play(story)


def test_a_renewal_that_comes_in_between_does_not_keep_the_lease_from_being_given_back() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        b = scene.candidate("b")
        await scene.pass_time(5)
        scene.server.faults.fail("replace", ConflictError("it has changed", 409, "Conflict"), kind="Lease")
        await a.stop()
        await scene.pass_time(0.1)
        assert b.told == [2]

    play(story)


def test_a_renewal_is_one_request_and_a_lease_that_was_given_back_is_taken_with_one() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        asked = scene.server.count("get", "Lease")
        await scene.pass_time(5 * TIMING.retry)
        assert scene.server.count("get", "Lease") == asked
        b = scene.candidate("b")
        await scene.pass_time(0.1)
        asked, written = scene.server.count("get", "Lease"), scene.server.count("replace", "Lease")
        await a.stop()
        await scene.pass_time(0.1)
        assert b.told == [2]
        assert (scene.server.count("get", "Lease"), scene.server.count("replace", "Lease")) == (asked, written + 2)

    play(story)


def test_a_lease_that_others_write_into_is_read_again_and_renewed() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        for number in range(5):
            await _write_into(scene, str(number))
            await scene.pass_time(TIMING.retry)
        await scene.pass_time(2 * TIMING.lease)
        assert a.told == [1]

    play(story)


def test_a_late_word_of_a_free_lease_takes_it_from_nobody() -> None:
    """The watch shows that it was given back, and by then another has it."""

    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        b = scene.candidate("b")
        await scene.pass_time(0.1)
        await a.stop()
        gate = scene.server.faults.hold("replace", kind="Lease")  # b's
        await scene.pass_time(0.1)
        free = scene.server.object(LEASES, "ops", names.LEASE_NAME)
        assert free is not None
        spec = {**free["spec"], "holderIdentity": "somebody", "leaseTransitions": 5, "leaseDurationSeconds": 15}
        await scene.server.replace(LEASES, "ops", names.LEASE_NAME, {**free, "spec": spec})
        gate.set()
        await scene.pass_time(TIMING.lease - 1)
        assert b.told == []
        await scene.until_leader(b)
        assert b.told == [6]

    play(story)


def test_without_a_watch_a_released_lease_is_taken_within_a_retry_period() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        scene.server.faults.fail("watch", ForbiddenError("no", 403, "Forbidden"), kind="Lease", times=1000)
        b = scene.candidate("b")
        await scene.pass_time(5)
        asked = scene.server.count("get", "Lease")
        await a.stop()
        await scene.pass_time(TIMING.retry * 1.2 + 0.2)
        assert b.told == [2]
        assert scene.server.count("get", "Lease") - asked <= 4

    play(story)


def test_the_lease_of_a_crashed_leader_is_taken_as_soon_as_it_has_run_out() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        b = scene.candidate("b")
        await scene.pass_time(5)
        await a.crash()
        await scene.pass_time(TIMING.lease - TIMING.retry - 0.2)
        assert b.told == []
        await scene.pass_time(TIMING.retry + 0.3)
        assert b.told == [2]

    play(story)


def test_other_leases_of_the_namespace_wake_nobody() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        scene.candidate("b")
        await scene.pass_time(5)
        asked = scene.server.count("get", "Lease")
        for number in range(100):
            scene.server.seed({"kind": "Lease", "metadata": {"name": f"other-{number}", "namespace": "ops"}})
            await scene.pass_time(0.1)
        assert scene.server.count("get", "Lease") - asked <= 2 * (10 / TIMING.retry + 2) + 10 / TIMING.retry

    play(story)


def test_a_process_that_takes_its_own_lease_again_raises_the_epoch() -> None:
    """The same identity, found in the Lease by a process that does not remember leading, is another reign."""

    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        await a.crash()
        again = scene.candidate("a")
        await scene.until_leader(again)
        assert again.told == [2]

    play(story)


@pytest.mark.parametrize("verb", ["get", "replace"])
def test_a_hung_request_ends_the_reign_by_its_deadline_and_before_another_begins(verb: str) -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        await _write_into(scene, "so that it has to be read")
        scene.server.faults.hold(verb, kind="Lease", times=1000)
        await scene.pass_time(TIMING.renew + 0.2)
        assert a.told == [1, None]
        assert not a.running.done()  # type: ignore[union-attr]

    play(story)


def test_an_unreachable_api_server_ends_the_reign_and_the_next_one_has_a_higher_epoch() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        for verb in ("get", "replace"):
            scene.server.faults.fail(verb, UnreachableError("refused"), kind="Lease", times=10)
        await scene.pass_time(TIMING.renew + 0.2)
        assert a.told == [1, None]
        await scene.until_leader(a)
        assert a.told == [1, None, 2]

    play(story)


def test_a_short_disturbance_ends_nothing() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        for _ in range(10):
            scene.server.faults.fail("replace", ServerError("etcd", 500), kind="Lease", times=2)
            await scene.pass_time(10)
        assert a.told == [1]

    play(story)


def test_a_renewal_whose_answer_is_lost_is_no_loss() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        scene.server.faults.lose_answer("replace", kind="Lease")
        await scene.pass_time(30)
        assert a.told == [1]

    play(story)


def test_an_acquisition_whose_answer_is_lost_is_made_again_with_a_higher_epoch() -> None:
    async def story(scene: Scene) -> None:
        scene.server.faults.lose_answer("create", kind="Lease")
        a = scene.candidate("a")
        await scene.until_leader(a)
        assert a.told == [2]

    play(story)


def test_a_leader_that_was_overtaken_follows_and_goes_on_as_a_candidate() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        lease = scene.server.object(LEASES, "ops", names.LEASE_NAME)
        assert lease is not None
        taken = {**lease, "spec": {**lease["spec"], "holderIdentity": "somebody", "leaseTransitions": 5}}
        await scene.server.replace(LEASES, "ops", names.LEASE_NAME, taken)
        await scene.pass_time(TIMING.retry + 0.2)
        assert a.told == [1, None]
        await scene.until_leader(a)
        assert a.told == [1, None, 6]

    play(story)


def test_a_deleted_lease_does_not_bring_the_epoch_down() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        a.elector.raise_above(40)
        await scene.until_leader(a)
        scene.server.remove(LEASES, "ops", names.LEASE_NAME)
        await scene.pass_time(TIMING.retry * 2)
        assert a.told[-1] == 42
        assert scene.lease()["leaseTransitions"] == 42

    play(story)


def test_a_higher_epoch_seen_anywhere_is_overtaken_by_compare_and_swap() -> None:
    """Safety rule S2.1: an agent's hello shows an epoch above ours (the Lease was deleted, or etcd restored)."""

    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        a.elector.raise_above(1)
        assert scene.leaders == ["a"]
        a.elector.raise_above(17)
        assert scene.leaders == []
        assert a.elector.deadline() == 0
        await scene.pass_time(TIMING.retry + 0.2)
        assert a.told == [1, None, 18]
        assert scene.lease()["leaseTransitions"] == 18

    play(story)


def test_a_higher_epoch_that_is_seen_while_a_renewal_is_under_way_is_not_forgotten() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        gate = scene.server.faults.hold("replace", kind="Lease", after=True)
        await scene.pass_time(TIMING.retry + 0.5)
        a.elector.raise_above(17)
        gate.set()
        await scene.pass_time(0.1)
        assert a.told == [1, None, 18]

    play(story)


def test_the_deadline_lies_a_renew_deadline_after_the_start_of_the_last_renewal() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        assert a.elector.deadline() == 0
        began = scene.clock.monotonic()
        await scene.until_leader(a)
        assert began < a.elector.deadline() <= began + TIMING.renew
        await scene.pass_time(TIMING.retry * 3)
        assert a.elector.deadline() > began + TIMING.renew

    play(story)


def test_the_time_of_acquisition_is_kept_by_renewals() -> None:
    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        acquired = scene.lease()["acquireTime"]
        await scene.pass_time(20)
        assert scene.lease()["acquireTime"] == acquired
        assert scene.lease()["renewTime"] > acquired

    play(story)


def test_an_epoch_that_is_made_up_is_not_believed() -> None:
    """A node that lies in its hello must not use up the 31 bits of leaseTransitions, nor depose us for ever."""

    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        a.elector.raise_above(2**31 - 1)
        assert scene.leaders == ["a"]
        assert a.told == [1]

    play(story)


def test_one_node_cannot_have_its_leader_elected_anew_all_the_time() -> None:
    """S2.1: an agent says the truth once; whoever says it again and again lies, and is believed by nobody for an hour."""

    async def story(scene: Scene) -> None:
        a = scene.candidate("a")
        await scene.until_leader(a)
        a.elector.raise_above(5, "uid-liar")
        await scene.until_leader(a)
        assert a.told == [1, None, 6]
        a.elector.raise_above(9, "uid-liar")
        assert scene.leaders == ["a"]
        a.elector.raise_above(9, "uid-another")
        await scene.until_leader(a)
        assert a.told == [1, None, 6, None, 10]
        await scene.pass_time(3700)
        a.elector.raise_above(20, "uid-liar")
        assert scene.leaders == []

    play(story)


def test_a_standby_believes_every_witness() -> None:
    """It costs nobody anything, and it may be cut off from the API server while others lead."""

    async def story(scene: Scene) -> None:
        gate = scene.server.faults.hold("get", kind="Lease")
        a = scene.candidate("a")
        for epoch in (5, 7, 9):
            a.elector.raise_above(epoch, "uid-agent")
        gate.set()
        await scene.until_leader(a)
        assert a.told == [10]

    play(story)
