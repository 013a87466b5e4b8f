"""What is said once a key in a while."""

from batchpools.telemetry.seldom import Seldom
from batchpools.testing.clock import FakeClock


def test_the_same_is_said_again_only_after_its_time() -> None:
    clock = FakeClock()
    seldom = Seldom(clock, again=60)
    assert seldom.is_worth_saying("a")
    assert not seldom.is_worth_saying("a")
    clock.advance(59)
    assert not seldom.is_worth_saying("a")
    clock.advance(1)
    assert seldom.is_worth_saying("a")


def test_keys_are_apart() -> None:
    seldom = Seldom(FakeClock())
    assert [seldom.is_worth_saying(key) for key in ("a", "b", ("a", 1), "b")] == [True, True, True, False]


def test_it_forgets_the_oldest_rather_than_grow() -> None:
    seldom = Seldom(FakeClock())
    for number in range(5000):
        seldom.is_worth_saying(number)
    assert len(seldom._until) == 1024
    assert not seldom.is_worth_saying(4999)
    assert seldom.is_worth_saying(0)
