"""Which of those that passed ships: the fastest, of those as fast the simplest, and the baseline where none is faster."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe.artifacts import Artifact, Candidate, Interval, Ranges, Trial
from fdpipe.stages.rank import Ranking, rank, simplicity
from tests.contracts.gate import evaluation, measured, measurement, ratio

PLAIN = Candidate(runtime="rt", recipe="none", session={"threads": 2})


def trial(candidate: Candidate = PLAIN, *, size: int = 1000, ranges: bool = False, unmeasured: str = "") -> Trial:
    artifact = Artifact(kind="onnx", path=Path("model.onnx"), digest=candidate.name, size_bytes=size, inputs=(), outputs=())
    found = Ranges(method="m", rows=1, data_digest="d", values={}, inputs={}) if ranges else None
    return Trial(candidate=candidate, artifact=artifact, evaluation=evaluation(), ranges=found, unmeasured=unmeasured)


BASELINE = trial()
FUSED = trial(replace(PLAIN, recipe="fused"))
INT8 = trial(replace(PLAIN, recipe="int8"), size=300, ranges=True)


def ranked(speeds: Mapping[str, Interval], *passed: Trial) -> Ranking:
    by_name = {one.candidate.name: one.candidate.recipe for one in passed}
    found = measured(*[measurement(name, speeds[recipe]) for name, recipe in by_name.items() if recipe in speeds])
    return rank(passed, replace(found, baseline=BASELINE.candidate.name), BASELINE)


def order(speeds: Mapping[str, Interval], *passed: Trial) -> list[str]:
    return [name.partition("/")[2].partition("[")[0] for name in ranked(speeds, *passed).order]


def test_the_fastest_comes_first_however_it_was_made() -> None:
    assert order({"int8": ratio(0.4), "fused": ratio(0.6)}, BASELINE, FUSED, INT8) == ["int8", "fused", "none"]


def test_of_those_as_fast_the_simplest_comes_first_and_the_sentence_says_so() -> None:
    found = ranked({"int8": ratio(0.500), "fused": ratio(0.505)}, BASELINE, INT8, FUSED)
    assert found.order == ("rt/fused[threads=2]", "rt/int8[threads=2]", "rt/none[threads=2]")
    assert found.reason == (
        "passed every check and takes 0.51 (0.50–0.51) of the baseline's time; rt/int8[threads=2] takes 0.50, which is as "
        "fast, and is less simple: it is in fewer bits"
    )


@pytest.mark.parametrize(
    ("fused", "first"),
    [
        (Interval(low=0.50, middle=0.509, high=0.52), "fused"),
        (Interval(low=0.40, middle=0.53, high=0.60), "int8"),  # too far apart in the middle
        (Interval(low=0.506, middle=0.509, high=0.51), "int8"),  # close, and surely slower
    ],
)
def test_as_fast_is_what_is_not_surely_slower_and_close(fused: Interval, first: str) -> None:
    assert order({"int8": ratio(0.5), "fused": fused}, BASELINE, FUSED, INT8)[0] == first


def test_the_simplest_of_the_others_comes_next() -> None:
    other = trial(replace(PLAIN, recipe="other"), size=2000)
    speeds = {"int8": ratio(0.3), "fused": ratio(0.605), "other": ratio(0.6)}
    assert order(speeds, BASELINE, other, FUSED, INT8) == ["int8", "fused", "other", "none"]


def test_the_baseline_comes_before_what_does_not_surely_beat_it() -> None:
    speeds = {"fused": Interval(low=0.9, middle=0.95, high=1.0), "int8": ratio(1.5)}
    other = trial(replace(PLAIN, recipe="other"))
    found = ranked(speeds, other, INT8, FUSED, BASELINE)
    assert order(speeds, other, INT8, FUSED, BASELINE) == ["none", "fused", "int8", "other"]
    assert found.reason == "passed every check and nothing that passed is surely faster"


def test_what_was_not_measured_comes_by_its_size() -> None:
    small, large = (trial(replace(PLAIN, recipe=name), size=size, unmeasured="no") for name, size in {"a": 5, "b": 9}.items())
    found = ranked({}, large, small)
    assert found.order == ("rt/a[threads=2]", "rt/b[threads=2]")
    assert found.reason == "is the smallest that passed every check; its speed is not measured: no"


def test_each_change_counts_the_weightiest_first() -> None:
    """Each of these is less simple than the one before it."""
    changed = [
        trial(),
        trial(size=1001),
        trial(replace(PLAIN, session={"threads": 2, "spinning": True})),
        trial(replace(PLAIN, runtime="other")),
        trial(replace(PLAIN, recipe="fused")),
        trial(replace(PLAIN, recipe="dynamic"), size=749),
        trial(replace(PLAIN, recipe="int8", calibrator="mse"), ranges=True),
        trial(replace(PLAIN, recipe="int8", floats=("a",)), ranges=True),
        trial(replace(PLAIN, recipe="int8", floats=("a", "b")), ranges=True),
        trial(replace(PLAIN, recipe="parts", parts=((1, PLAIN), (8, PLAIN)))),
    ]
    weights = [tuple(simplicity(one, BASELINE).values()) for one in changed]
    assert weights == sorted(weights)
    assert len(set(weights)) == len(changed)
