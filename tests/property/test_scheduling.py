"""The queue equals a naive model; the cycle never gives more than there is, leaves nothing that fits, and is fair."""

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from batchpools.api.states import NodeFillType
from batchpools.core.scheduling.book import PoolBook, Space, WaitingTask
from batchpools.core.scheduling.cycle import schedule
from batchpools.core.scheduling.ordering import MANAGER, ORDINARY
from batchpools.core.scheduling.placement import Room, space_of

JOBS = ("a", "b", "c", "d")
jobs = st.sampled_from(JOBS)
sizes = st.integers(1, 4)
fills = st.sampled_from(list(NodeFillType))


@st.composite
def rooms(draw: st.DrawFn, *, most: int = 4) -> list[Room]:
    """Nodes with some slots free."""
    totals = draw(st.lists(st.integers(1, 6), max_size=most))
    return [Room(f"n{n}", f"pod-{n}", total, draw(st.integers(0, total))) for n, total in enumerate(totals)]


@st.composite
def books(draw: st.DrawFn, *, largest: int = 4, priorities: int = 2) -> PoolBook:
    """Some jobs with some tasks."""
    book = PoolBook()
    for job in JOBS:
        priority = draw(st.integers(0, priorities))
        for number, slots in enumerate(draw(st.lists(st.integers(1, largest), max_size=12))):
            task = WaitingTask(float(draw(st.integers(0, 3))), f"{job}{number}", slots)
            book.add(job, task, priority=priority, created=float(draw(st.integers(0, 1))), job_uid=job)
    return book


@given(book=books(), free=rooms(), fill=fills)
def test_no_node_is_given_more_slots_than_it_has_free(book: PoolBook, free: list[Room], fill: str) -> None:
    given_slots = {room.node: 0 for room in free}
    before = len(book)
    bindings = schedule(book, free, fill)
    for binding in bindings:
        given_slots[binding.node] += binding.task.slots
    assert all(given_slots[room.node] <= room.free for room in free)
    assert len({binding.task.uid for binding in bindings}) == len(bindings)
    assert len(book) == before - len(bindings)


@given(book=books(), free=rooms(), fill=fills)
def test_everything_that_can_run_runs(book: PoolBook, free: list[Room], fill: str) -> None:
    left = {room.node: room.free for room in free}
    for binding in schedule(book, free, fill):
        left[binding.node] -= binding.task.slots
    most = max(left.values(), default=0)
    assert all(job.oldest_fitting(Space(most, most, most)) is None for job in book.jobs())


@given(book=books(), free=rooms(), fill=fills)
def test_a_lower_priority_goes_first_only_where_a_higher_one_does_not_fit(
    book: PoolBook, free: list[Room], fill: str
) -> None:
    priorities = {job.name: job.priority for job in book.jobs()}
    left = {room.node: room.free for room in free}
    waiting = {job.name: [job.oldest_fitting(Space(256, 256, 256))] for job in book.jobs()}
    assert set(waiting) == set(priorities)
    copies = {name: sorted(one.slots for one in _tasks(book, name)) for name in priorities}
    for binding in schedule(book, free, fill):
        most = max(left.values())
        for name, slots in copies.items():
            if priorities[name] > priorities[binding.job]:
                assert all(one > most for one in slots)
        copies[binding.job].remove(binding.task.slots)
        left[binding.node] -= binding.task.slots


@given(counts=st.lists(st.integers(20, 40), min_size=2, max_size=4), steps=st.lists(st.integers(1, 5), max_size=12))
def test_jobs_that_always_have_work_never_drift_apart(counts: list[int], steps: list[int]) -> None:
    book = PoolBook()
    largest = 3
    for job, count in enumerate(counts):
        for number in range(count):
            task = WaitingTask(float(number), f"{job}-{number}", 1 + (number + job) % largest)
            book.add(f"j{job}", task, priority=0, created=0.0, job_uid=f"j{job}")
    given_slots = {f"j{job}": 0 for job in range(len(counts))}
    for free in steps:
        for binding in schedule(book, [Room("n", "pod", free + largest, free + largest)], NodeFillType.SPREAD):
            given_slots[binding.job] += binding.task.slots
        if len(book.jobs()) == len(counts):
            assert max(given_slots.values()) - min(given_slots.values()) <= 2 * largest


@given(book=books(), free=rooms(), fill=fills, manages=st.lists(st.booleans(), min_size=len(JOBS), max_size=len(JOBS)))
def test_while_a_manager_waits_nothing_of_its_job_goes_and_nothing_is_put_beside_one_that_is_exclusive(
    book: PoolBook, free: list[Room], fill: str, manages: list[bool]
) -> None:
    for job, has_one in zip(JOBS, manages, strict=True):
        if has_one:
            task = WaitingTask(9.0, f"{job}-manager", 1, rank=MANAGER, exclusive=True)
            book.add(job, task, priority=0, created=0.0, job_uid=job)
    before = len(book)
    bindings = schedule(book, free, fill)
    placed = [one.job for one in bindings if one.task.manages]
    went: set[str] = set()
    for binding in bindings:
        beside = [one for one in bindings if one.node == binding.node and one is not binding]
        if binding.task.manages:
            assert not beside
            assert next(room.free == room.total for room in free if room.node == binding.node)
            went.add(binding.job)
        elif manages[JOBS.index(binding.job)]:
            assert binding.job in went
    waiting = {job.name for job in book.managed()}
    assert waiting == {job for job, has_one in zip(JOBS, manages, strict=True) if has_one} - set(placed)
    assert len(book) == before - len(bindings)
    used = {room.node for room in free if room.free < room.total} | {one.node for one in bindings}
    assert not waiting or space_of(room for room in free if room.node not in used).empty == 0


def _tasks(book: PoolBook, job: str) -> list[WaitingTask]:
    queue = book.job(job)
    return list(queue._alive.values()) if queue is not None else []


@dataclass
class _NaiveJob:
    priority: int
    given: int
    tasks: dict[str, WaitingTask]


class QueueMachine(RuleBasedStateMachine):
    """Every change made to the book and to a model that sorts everything each time."""

    def __init__(self) -> None:
        super().__init__()
        self.book = PoolBook()
        self.model: dict[str, _NaiveJob] = {}
        self.priorities = dict.fromkeys(JOBS, 0)
        self.made = 0

    @rule(job=jobs, age=st.integers(0, 5), slots=sizes, manages=st.booleans(), exclusive=st.booleans())
    def add(self, job: str, age: int, slots: int, manages: bool, exclusive: bool) -> None:
        """A task becomes runnable; the manager of a job that has none waiting may be one."""
        self.made += 1
        manages = manages and self.made % 3 == 0 and self._manager(job) is None
        rank, alone = MANAGER if manages else ORDINARY, manages and exclusive
        task = WaitingTask(float(age), f"t{self.made}", slots, rank=rank, exclusive=alone)
        priority = self.priorities[job]
        self.book.add(job, task, priority=priority, created=0.0, job_uid=job)
        if job not in self.model:
            self.model[job] = _NaiveJob(priority, self._least(priority), {})
        self.model[job].tasks[task.uid] = task

    @rule(job=jobs, which=st.integers(0, 9))
    def remove(self, job: str, which: int) -> None:
        """A task is runnable no more."""
        held = self.model.get(job)
        uid = sorted(held.tasks)[which % len(held.tasks)] if held is not None else "nobody"
        self.book.remove(job, uid)
        self._remove(job, uid)

    @rule(job=jobs, priority=st.integers(-1, 1))
    def reprioritize(self, job: str, priority: int) -> None:
        """A job's priority changes."""
        self.priorities[job] = priority
        self.book.reprioritize(job, priority)
        held = self.model.get(job)
        if held is not None and held.priority != priority:
            held.given = self._least(priority)
            held.priority = priority

    @rule(free=st.integers(1, 6), empty=st.integers(0, 6))
    def run_one(self, free: int, empty: int) -> None:
        """What goes next is what the model says, and its job is charged."""
        expected = self._next(free, empty)
        space = Space(free, free, empty)
        found = self.book.next_job(space)
        assert (found.name if found else None) == (expected[0] if expected else None)
        if found is None or expected is None:
            return
        assert found.oldest_fitting(space) == expected[1]
        self.book.charge(found.name, expected[1].slots)
        self.model[expected[0]].given += expected[1].slots
        self.book.remove(expected[0], expected[1].uid)
        self._remove(*expected[:1], expected[1].uid)

    @invariant()
    def both_hold_the_same(self) -> None:
        """Sizes and charges agree."""
        assert len(self.book) == sum(len(job.tasks) for job in self.model.values())
        assert {job.name: (job.given, len(job)) for job in self.book.jobs()} == {
            name: (job.given, len(job.tasks)) for name, job in self.model.items()
        }

    def _manager(self, job: str) -> WaitingTask | None:
        tasks = self.model[job].tasks.values() if job in self.model else ()
        return next((task for task in tasks if task.manages), None)

    def _next(self, free: int, empty: int) -> tuple[str, WaitingTask] | None:
        for name in sorted(self.model, key=lambda one: (-self.model[one].priority, self.model[one].given, one)):
            manager = self._manager(name)
            may_go = [manager] if manager is not None else self.model[name].tasks.values()
            most = min(free, empty) if manager is not None and manager.exclusive else free
            fitting = sorted(task for task in may_go if task.slots <= most)
            if fitting:
                return name, fitting[0]
        return None

    def _least(self, priority: int) -> int:
        return min((job.given for job in self.model.values() if job.priority == priority), default=0)

    def _remove(self, job: str, uid: str) -> None:
        held = self.model.get(job)
        if held is not None:
            held.tasks.pop(uid, None)
            if not held.tasks:
                del self.model[job]


TestQueueEqualsANaiveModel = QueueMachine.TestCase
