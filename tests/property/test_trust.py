"""Whatever the delays: who has been told of the CAs at most `spread` ago trusts every certificate that is in use (S9.1, S9.3).

Played: a leader that steps and now and then loses the lead, standbys that read late, agents whose bundle is written late
and reaches their file later still. The overlap is what makes it hold: without it the same play finds a certificate that
somebody does not trust.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from batchpools.core.trust import Authorities, Settling, Step, Validity, next_step

START = datetime(2026, 1, 1, tzinfo=UTC)
SPREAD = 60.0
LIFE = 1800.0
STEP = 5.0  # seconds of a step of the play

Decide = Callable[..., Step]


@dataclass
class Agent:
    """annotated: the bundle that its pod carries; file: what it reads, at most so late."""

    late: float
    annotated: frozenset[int] = frozenset()
    told_at: float = 0.0
    file: frozenset[int] = frozenset()

    def read(self, now: float) -> frozenset[int]:
        if now - self.told_at >= self.late:
            self.file = self.annotated
        return self.file


@dataclass
class Play:
    """CAs are numbers, in the order in which they are made."""

    decide: Decide
    agents: list[Agent]
    standby_late: float
    now: float = 0.0
    made: dict[int, Validity] = field(default_factory=dict)
    current: int = 1
    next: int | None = None
    former: int | None = None
    version: int = 1
    settling: Settling = field(default_factory=Settling)
    leaf_of_standby: int = 1
    standby_read_at: float = 0.0
    rotations: int = 0

    def __post_init__(self) -> None:
        self.made[1] = self.validity()
        for agent in self.agents:
            agent.annotated = agent.file = self.bundle()

    def validity(self) -> Validity:
        time = START + timedelta(seconds=self.now)
        return Validity(time, time + timedelta(seconds=LIFE))

    def bundle(self) -> frozenset[int]:
        return frozenset(one for one in (self.former, self.current, self.next) if one is not None)

    def step(self, *, asked: bool, fails_over: bool, annotates: bool) -> None:
        self.now += STEP
        if fails_over:
            self.settling = Settling()  # the new leader knows nothing of how long
        for agent in self.agents if annotates else []:
            if agent.annotated != self.bundle():
                agent.read(self.now)
                agent.annotated, agent.told_at = self.bundle(), self.now
        newest = self.next or self.current
        known = all(newest in agent.annotated for agent in self.agents)
        settled = self.settling.measure(self.version, self.now, known=known)
        held = Authorities(
            self.made[self.current],
            self.made[self.next] if self.next else None,
            self.made[self.former] if self.former else None,
        )
        time = START + timedelta(seconds=self.now)
        self.carry_out(self.decide(held, time, asked=asked, settled=settled, spread=SPREAD))
        if self.now - self.standby_read_at >= self.standby_late:
            self.leaf_of_standby, self.standby_read_at = self.current, self.now
        for agent in self.agents:
            trusted = agent.read(self.now)
            for leaf in (self.current, self.leaf_of_standby):
                assert leaf in trusted, (
                    f"at {self.now}: a certificate of CA {leaf} is shown to one who trusts {trusted}"
                )

    def carry_out(self, step: Step) -> None:
        if step is Step.WAIT:
            return
        self.version += 1
        if step is Step.MAKE_NEXT:
            self.next = max(self.made) + 1
            self.made[self.next] = self.validity()
        elif step is Step.USE_NEXT:
            assert self.next is not None
            self.former, self.current, self.next = self.current, self.next, None
        elif step is Step.DROP_FORMER:
            self.former = None
            self.rotations += 1
        else:
            raise AssertionError("a CA expired although it was replaced in time")


DELAYS = st.floats(0, SPREAD / 2)
MOVES = st.lists(
    st.tuples(st.booleans(), st.sampled_from([False] * 9 + [True]), st.sampled_from([True, True, False])),
    min_size=60,
    max_size=300,
)


def play(decide: Decide, late: list[float], standby_late: float, moves: list[tuple[bool, bool, bool]]) -> Play:
    stage = Play(decide, [Agent(one) for one in late], standby_late)
    for asked, fails_over, annotates in moves:
        stage.step(asked=asked, fails_over=fails_over, annotates=annotates)
    return stage


@settings(max_examples=60, deadline=None)
@given(late=st.lists(DELAYS, min_size=1, max_size=4), standby_late=DELAYS, moves=MOVES)
def test_who_was_told_lately_trusts_every_certificate_in_use(
    late: list[float], standby_late: float, moves: list[tuple[bool, bool, bool]]
) -> None:
    play(next_step, late, standby_late, moves)


def test_the_play_does_replace_cas() -> None:
    stage = play(next_step, [0.0, 30.0], 15.0, [(False, False, True)] * 2000)
    assert stage.rotations >= 5


def _used_at_once(held: Authorities, now: datetime, *, asked: bool, settled: float | None, spread: float) -> Step:
    """Without the first overlap: used as soon as it is made."""
    step = next_step(held, now, asked=asked, settled=settled, spread=spread)
    return Step.USE_NEXT if held.next is not None and step is Step.WAIT else step


def _dropped_at_once(held: Authorities, now: datetime, *, asked: bool, settled: float | None, spread: float) -> Step:
    """Without the second overlap."""
    step = next_step(held, now, asked=asked, settled=settled, spread=spread)
    return Step.DROP_FORMER if held.former is not None else step


def _not_everybody(held: Authorities, now: datetime, *, asked: bool, settled: float | None, spread: float) -> Step:
    """Time alone, whether or not everybody has been told."""
    return next_step(held, now, asked=asked, settled=spread if settled is None else settled, spread=spread)


@pytest.mark.parametrize(
    ("decide", "annotates_every"), [(_used_at_once, 1), (_dropped_at_once, 1), (_not_everybody, 60)]
)
def test_without_the_overlap_the_play_finds_somebody_who_does_not_trust(decide: Decide, annotates_every: int) -> None:
    moves = [(True, False, number % annotates_every == 0) for number in range(60)]
    with pytest.raises(AssertionError, match="is shown to one who trusts"):
        play(decide, [0.0, 29.0], 29.0, [(False, False, True), *moves])
