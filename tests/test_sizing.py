"""How a service sizes itself, from timings that are made up."""

from dataclasses import replace

import pytest

from fdpipe import sizing
from fdpipe.artifacts import Candidate, Cost, Expected, Machine, Measured, Measurement, Timing, Traffic
from fdpipe.plan import ServiceSettings
from fdpipe.sizing import Wishes

FOUR_CORES = Machine(processor="p", cores=4, memory_gib=16.0, system="s", instruction_sets=(), fingerprint="f")
ONE_THREAD = Candidate(runtime="onnxruntime", recipe="none", session={"threads": 1})
EVERY_CORE = Candidate(runtime="onnxruntime", recipe="none")


def timing(batch: int, p50_ms: float, length: int | None = None) -> Timing:
    return Timing(
        batch=batch, calls=9, p50_ms=p50_ms, p90_ms=p50_ms, p99_ms=2 * p50_ms, rows_per_s=1.0, ratio=None, length=length
    )


def measured(candidate: Candidate, *timings: Timing, peak_rss_mib: float | None = 100.0) -> Measured:
    found = Measurement(
        candidate=candidate.name, timings=timings, load_ms=1.0, first_call_ms=1.0, peak_rss_mib=peak_rss_mib, size_bytes=1
    )
    return Measured(measurements=(found,), baseline=candidate.name, threads=1, machine=FOUR_CORES)


def linear(call_ms: float, row_ms: float, *batches: int) -> tuple[Timing, ...]:
    return tuple(timing(batch, call_ms + row_ms * batch) for batch in batches or (1, 8, 32))


def sized(*timings: Timing, candidate: Candidate = ONE_THREAD, batchable: bool = True, **wishes: float) -> Traffic:
    return sizing.traffic(Wishes(**wishes), measured(candidate, *timings), candidate, batchable=batchable)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("timings", "cost"),
    [
        (linear(2.0, 0.5), Cost(call_ms=2.0, row_ms=0.5)),
        ((timing(8, 4.0),), Cost(call_ms=0.0, row_ms=0.5)),
        ((timing(1, 1.0), timing(10, 20.0)), Cost(call_ms=0.0, row_ms=1.2)),
        ((timing(1, 4.0), timing(8, 2.0)), Cost(call_ms=2.4, row_ms=0.0)),
        ((timing(1, 0.0), timing(8, 4.0)), Cost(call_ms=0.0, row_ms=0.5)),
        ((), None),
    ],
)
def test_the_cost_is_a_line_that_never_falls_and_never_begins_below_zero(
    timings: tuple[Timing, ...], cost: Cost | None
) -> None:
    assert sizing.fitted(timings) == cost


def test_errors_count_by_what_they_are_errors_of() -> None:
    """A millisecond at 100 ms is less than a tenth at 1 ms: the line passes close to the small one."""
    cost = sizing.fitted([timing(1, 1.0), timing(8, 8.0), timing(100, 90.0)])
    assert cost is not None
    assert cost.ms(1) == pytest.approx(1.0, rel=0.1)


def test_a_batch_grows_while_twice_as_many_gain() -> None:
    """The last doubling, from n to 2n, gains b/(2·a·n + b), at least 5 %."""
    for call_ms, row_ms in ((1.0, 1.0), (1.0, 0.1), (3.0, 0.2)):
        most = sized(*linear(call_ms, row_ms, 1, 8, 32, 1024)).max_batch
        assert call_ms / (row_ms * most + call_ms) >= sizing.GAIN
        assert call_ms / (2 * row_ms * most + call_ms) < sizing.GAIN


def test_a_batch_is_never_larger_than_what_was_measured() -> None:
    assert sized(*linear(10.0, 0.0)).max_batch == 32
    assert sized(*linear(10.0, 0.01, 1, 8)).max_batch == 8
    assert sized(timing(1, 1.0)).max_batch == 1


def test_a_batch_and_the_one_before_it_keep_the_limit() -> None:
    timings = linear(2.0, 0.5)
    kept = sized(*timings, p99_ms=20.0)
    assert kept.max_batch == 16
    assert kept.cost is not None
    assert 2 * kept.cost.ms(kept.max_batch) + kept.max_wait_ms <= 20.0
    assert sized(*timings, timeout_s=0.01).max_batch == 6
    assert sized(*timings, p99_ms=1.0).max_batch == 1, "what the model alone cannot keep is for the proof to refuse"


def test_waiting_saves_at_most_a_call_and_is_not_tried_where_it_never_pays() -> None:
    assert sized(*linear(10.0, 0.5)).max_wait_ms == 10.0
    assert sized(*linear(10.0, 0.5), p99_ms=55.0).max_wait_ms == 3.0
    assert sized(*linear(1.0, 0.1)).max_wait_ms == 0.0
    assert sized(*linear(10.0, 9.0)).max_wait_ms == 0.0


def test_as_many_wait_as_can_be_answered_in_time() -> None:
    assert sized(timing(1, 500.0), timeout_s=10.0).max_waiting == 20
    assert sized(timing(1, 30_000.0), timeout_s=10.0).max_waiting == 1
    assert sized(*linear(0.01, 0.01)).max_waiting == sizing.MOST_WAITING


def test_the_cores_are_shared() -> None:
    timings = linear(1.0, 0.1)
    found = {
        (one.workers, one.runs)
        for one in (sized(*timings), sized(*timings, runs=4), sized(*timings, workers=2), sized(*timings, candidate=EVERY_CORE))
    }
    assert found == {(4, 1), (1, 4), (2, 2), (1, 1)}
    parts = Candidate(
        runtime="by_rows", recipe="none", parts=((1, ONE_THREAD), (8, replace(ONE_THREAD, session={"threads": 2})))
    )
    assert sized(*timings, candidate=parts).workers == 2, "the one with the most threads"


def test_no_more_workers_than_their_models_have_room() -> None:
    large = measured(ONE_THREAD, *linear(1.0, 0.1), peak_rss_mib=3000.0)
    assert sizing.traffic(Wishes(), large, ONE_THREAD, batchable=True).workers == 2


def test_what_is_wished_wins() -> None:
    timings = linear(1.0, 0.1)
    found = sized(
        *timings, p99_ms=1.0, workers=7, runs=3, max_batch=500, max_wait_ms=0.5, max_waiting=9, cache_mib=2.0,
    )  # fmt: skip
    assert found == Traffic(
        workers=7, runs=3, max_batch=500, max_wait_ms=0.5, max_waiting=9, cache_mib=2.0, cost=sizing.fitted(timings)
    )
    assert sized(*linear(10.0, 0.5), max_wait_ms=0.0).max_wait_ms == 0.0


def test_what_is_not_batchable_joins_nothing_whatever_is_wished() -> None:
    assert sized(*linear(10.0, 0.1), batchable=False, max_batch=8).max_batch == 1
    assert sized(*linear(10.0, 0.1), batchable=False).max_wait_ms == 0.0


def test_without_a_measurement_a_request_is_answered_alone() -> None:
    assert sized() == Traffic(workers=1, runs=1, max_batch=1, max_wait_ms=0.0, max_waiting=sizing.MOST_WAITING)
    assert sized(workers=2) == replace(sized(), workers=2)
    assert sizing.expected(sized(), measured(ONE_THREAD), ONE_THREAD.name) is None


def test_of_sequences_the_longest_count_where_none_are_as_they_are() -> None:
    lengths = (timing(1, 1.0, 16), timing(1, 4.0, 128))
    assert [one.length for one in sizing.own_timings(measured(ONE_THREAD, *lengths).measurements[0])] == [128]
    both = measured(ONE_THREAD, *lengths, timing(8, 3.0), timing(1, 2.0))
    assert [one.p50_ms for one in sizing.own_timings(both.measurements[0])] == [2.0, 3.0]


def test_what_is_expected_is_what_the_model_allows() -> None:
    found = measured(ONE_THREAD, *linear(9.0, 1.0))
    traffic = Traffic(workers=2, runs=2, max_batch=11, cost=Cost(call_ms=9.0, row_ms=1.0))
    assert sizing.expected(traffic, found, ONE_THREAD.name) == Expected(p50_ms=10.0, p99_ms=20.0, requests_per_s=2200.0)


@pytest.mark.parametrize(
    ("wish", "text"),
    [
        ({"workers": 0}, "workers must be from 1 to 256, or null to be derived"),
        ({"runs": 257}, "runs must be"),
        ({"max_batch": 0}, "max_batch must be"),
        ({"max_wait_ms": -1.0}, "max_wait_ms must be from 0 to 10000"),
        ({"max_waiting": 0}, "max_waiting must be"),
        ({"cache_mib": float("nan")}, "cache_mib must be"),
    ],
)
def test_a_size_out_of_range_is_refused_by_its_name(wish: dict[str, float], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ServiceSettings(**wish)  # type: ignore[arg-type]


def test_wishes_are_the_settings() -> None:
    assert Wishes.of(ServiceSettings(workers=2, p99_ms=5.0, timeout_s=7.0)) == Wishes(workers=2, p99_ms=5.0, timeout_s=7.0)
