"""From how many rows on another candidate is asked: between two sizes that were measured."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from fdpipe.artifacts import Candidate, Trial
from fdpipe.search._parts import by_rows
from fdpipe.space import Choice
from tests.search.world import SPACE, Truth, World, measured

SIZES = (1, 8, 32)
SEVERAL = replace(
    SPACE, runtimes={"ort": ({},), "native": ({},), "other": ({},)}, by_rows="by_rows", batch_sizes=SIZES,
    recipes={"none": Choice(runtimes=("ort", "native", "other"))},
)  # fmt: skip
BASELINE = Candidate(runtime="ort", recipe="none")


def tried(candidate: Candidate, times_ms: Mapping[int, float], baseline_ms: Mapping[int, float]) -> Trial:
    """A trial that takes so long, measured beside a baseline that takes so long."""
    ratios = {rows: times_ms[rows] / baseline_ms[rows] for rows in times_ms}
    trial = World(truth=lambda _: Truth(ratios=ratios), space=SEVERAL).trial(candidate)
    assert trial.speed is not None
    own = replace(measured(BASELINE, baseline_ms).measurements[0], candidate=BASELINE.name)
    return replace(trial, speed=replace(trial.speed, baseline=BASELINE.name, measurements=(own, *trial.speed.measurements)))


def thresholds(baseline_ms: Mapping[int, float], **others: Mapping[int, float]) -> list[tuple[int, str]]:
    trials = [tried(Candidate(runtime=name, recipe="none"), times, baseline_ms) for name, times in others.items()]
    baseline = replace(tried(BASELINE, baseline_ms, baseline_ms), speed=None)
    (proposal,) = by_rows(SEVERAL, [baseline, *trials])
    return [(rows, one.runtime) for rows, one in proposal.candidate.parts]


def even(at_once: float, a_row: float) -> dict[int, float]:
    """The milliseconds of calls that grow evenly with their rows."""
    return {rows: at_once + a_row * rows for rows in SIZES}


def test_it_is_asked_from_where_it_is_surely_the_faster_and_not_only_from_the_next_size_on() -> None:
    """Both take 30 ms at 20 rows; at 22 the one is at most as slow as the other is at least."""
    (_, first), (rows, second) = thresholds(even(10, 1.0), native=even(25, 0.25))
    assert (first, second) == ("ort", "native")
    assert 20 < rows <= 22


def test_three_each_from_its_own_crossing_on() -> None:
    found = thresholds({1: 1.0, 8: 9.0, 32: 40.0}, native={1: 4.0, 8: 4.5, 32: 30.0}, other={1: 20.0, 8: 20.0, 32: 20.0})
    assert [runtime for _, runtime in found] == ["ort", "native", "other"]
    assert found[0][0] == 1
    assert 1 < found[1][0] < 8 < found[2][0] < 32


def test_what_may_be_as_fast_at_the_larger_size_is_asked_from_there_on() -> None:
    """Its slowest is slower there than the other's fastest: where the lines meet says nothing."""
    found = thresholds({1: 2.0, 8: 10.0, 32: 40.0}, native={1: 4.0, 8: 5.0, 32: 20.0}, other={1: 20.0, 8: 20.0, 32: 19.3})
    assert [runtime for _, runtime in found] == ["ort", "native", "other"]
    assert found[1][0] < 8
    assert found[2][0] == 32


@pytest.mark.parametrize("missing", [1, 8])
def test_without_the_baselines_own_time_it_is_the_measured_size(missing: int) -> None:
    baseline = even(10, 1.0)
    trial = tried(Candidate(runtime="native", recipe="none"), {1: 30.0, 8: 12.0, 32: 12.0}, baseline)
    assert trial.speed is not None
    own, other = trial.speed.measurements
    own = replace(own, timings=tuple(one for one in own.timings if one.batch != missing))
    trial = replace(trial, speed=replace(trial.speed, measurements=(own, other)))
    (proposal,) = by_rows(SEVERAL, [replace(tried(BASELINE, baseline, baseline), speed=None), trial])
    assert [rows for rows, _ in proposal.candidate.parts] == [1, 8]
