"""The ring of samples: averages, late words, gaps, bounds."""

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from batchpools.core.autoscale.history import KEPT, History, span_of
from batchpools.core.autoscale.vocabulary import SAMPLE_NODE_COUNT

CPU, PENDING = "$CPUPercent", "$PendingTasks"


def told(history: History, name: str) -> list[tuple[float, float]]:
    series = history.series(name)
    return list(zip(series.times, series.values, strict=True))


def test_counts_stand_at_the_beginning_of_their_span_and_a_gap_is_a_missing_sample() -> None:
    history = History()
    for span, value in ((10, 1.0), (11, 2.0), (14, 5.0), (14, 6.0)):
        history.count(span, {PENDING: value})
    assert told(history, PENDING) == [(300.0, 1.0), (330.0, 2.0), (420.0, 6.0)]
    assert len(history) == 5
    assert span_of(329.9) == 10


def test_what_nodes_measure_is_averaged_and_they_are_counted() -> None:
    history = History()
    for value in (0.2, 0.4, 0.9):
        history.measure(7, {CPU: value})
    history.measure(7, {})
    assert told(history, CPU) == [(210.0, 0.5)]
    assert told(history, SAMPLE_NODE_COUNT) == [(210.0, 4.0)]


def test_a_node_tells_a_new_leader_of_spans_before_its_first_one() -> None:
    history = History()
    history.count(100, {PENDING: 1.0})
    history.measure(98, {CPU: 0.5})
    history.measure(100, {CPU: 0.7})
    assert told(history, CPU) == [(2940.0, 0.5), (3000.0, 0.7)]
    assert told(history, PENDING) == [(3000.0, 1.0)]


def test_no_more_than_what_is_to_be_kept_is_kept() -> None:
    history = History()
    for span in range(100):
        history.count(span, {PENDING: float(span)}, kept=10)
    assert len(history) == 10
    assert told(history, PENDING)[0] == (2700.0, 90.0)
    history.measure(89, {CPU: 1.0}, kept=10)
    assert told(history, CPU) == []


def test_after_a_jump_of_the_clock_it_begins_anew() -> None:
    history = History()
    history.count(5, {PENDING: 1.0}, kept=10)
    history.count(1_000_000_000, {PENDING: 2.0}, kept=10)
    assert told(history, PENDING) == [(30_000_000_000.0, 2.0)]


def test_a_day_of_samples_takes_the_memory_that_docs_tell() -> None:
    history = History()
    for span in range(2 * KEPT):
        history.count(span, {PENDING: 1.0})
    sizes = [sys.getsizeof(one) for one in (*history._values.values(), *history._measured.values())]
    assert len(history) == KEPT
    assert sum(sizes) < 0.8 * 2**20


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 60), st.floats(0, 1), st.booleans()), max_size=60), st.integers(1, 20))
def test_any_order_of_words_gives_ascending_times_within_bounds(
    words: list[tuple[int, float, bool]], kept: int
) -> None:
    history = History()
    for span, value, is_count in words:
        if is_count:
            history.count(span, {PENDING: value}, kept)
        else:
            history.measure(span, {CPU: value}, kept)
        assert len(history) <= kept
    for name in (CPU, PENDING):
        times = [time for time, _ in told(history, name)]
        assert times == sorted(set(times))
        assert all(0 <= value <= 1.0000001 for _, value in told(history, name))


def test_huge_values_and_missing_ones_are_told_as_they_are() -> None:
    history = History()
    for span, value in ((1, 1.7e308), (2, 1.7e308), (3, -1.7e308)):
        history.count(span, {PENDING: value})
    history.count(4, {CPU: 1.0})
    assert [value for _, value in told(history, PENDING)] == [1.7e308, 1.7e308, -1.7e308]
    assert told(history, CPU) == [(120.0, 1.0)]
