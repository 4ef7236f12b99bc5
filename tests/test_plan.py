"""The plan: rules across fields, a JSON round trip, a digest of what is asked."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from fdpipe.artifacts import ModelRef
from fdpipe.dataset.arrays import Arrays
from fdpipe.errors import ConfigError
from fdpipe.interfaces import Need
from fdpipe.plan import Benchmark, Plan, Recipe, ServiceSettings, Target, Tolerance
from fdpipe.testing import FakeCalibrator, FakePass
from fdpipe.testing.rehearsal import fake_plan

PINNED = ModelRef(name="fake", version="3", uri="fake:/fake/3", digest="ab" * 32, run_id="r1")


def data_of(plan: Plan) -> dict[str, Any]:
    """The plan as JSON has it."""
    found: dict[str, Any] = msgspec.json.decode(plan.to_json())
    return found


def test_json_and_back() -> None:
    plan = fake_plan(
        benchmark=Benchmark(batch_sizes=(1, 5), seconds=0.7),
        recipe={
            "none": Recipe(),
            "all": Recipe(passes=(FakePass(),), calibrator=FakeCalibrator(), quantizer=FakePass(share=0.2)),
        },
    ).pin(PINNED)
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.digest == plan.digest
    assert again.pinned == PINNED


def test_the_digest_changes_with_every_part() -> None:
    plan = fake_plan()
    others = [
        replace(plan, model="fake/1"),
        replace(plan, benchmark=Benchmark(seed=5)),
        replace(plan, service=ServiceSettings(port=4000)),
        replace(plan, parity=Tolerance(flips=1)),
        replace(plan, recipe={"none": Recipe()}),
        plan.pin(PINNED),
    ]
    assert len({plan.digest, *(other.digest for other in others)}) == len(others) + 1
    assert fake_plan().digest == plan.digest


def test_the_digest_changes_with_the_order_of_what_was_chosen() -> None:
    one, other = Recipe(), Recipe(passes=(FakePass(),))
    plans = [fake_plan(recipe={"none": one, "half": other}), fake_plan(recipe={"half": other, "none": one})]
    assert plans[0].digest != plans[1].digest
    assert [Plan.from_json(plan.to_json()).digest for plan in plans] == [plan.digest for plan in plans]


@pytest.mark.parametrize(
    ("model", "name", "service"),
    [
        ("digits@candidate", "digits", "digits-here"),
        ("digits/3", "digits", "digits-here"),
        ("models:/Iris_v2/3", "Iris_v2", "iris-v2-here"),
        ("models:/a.b c@x", "a.b c", "a-b-c-here"),
        ("цифры@x", "цифры", "f275afee-here"),
        ("naïve@x", "naïve", "na-ve-9e464197-here"),
        (f"{'long' * 60}/1", "long" * 60, "longlonglonglonglonglong-8610d1c7-here"),
    ],
)
def test_names(model: str, name: str, service: str) -> None:
    plan = fake_plan(model=model)
    assert (plan.model_name, plan.service_name) == (name, service)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gate": {}}, "gate is empty"),
        ({"metric": {}}, "metric is empty"),
        ({"recipe": {}}, "recipe and runtime must each name at least one"),
        ({"runtime": {}}, "recipe and runtime must each name at least one"),
        ({"model": "@candidate"}, "model=@candidate names no model"),
        (
            {"pinned": ModelRef(name="other", version="1", uri="", digest="")},
            "model=fake@candidate is not the model that .* other",
        ),
        ({"target": Target(name="here", runtimes=("other",))}, "runtime=fake is not allowed on target here: it allows other"),
    ],
)
def test_rules_across_fields(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        fake_plan(**changes)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Target(name="", runtimes=("a",)), "name must begin with"),
        (lambda: Target(name="a b", runtimes=("a",)), "name must begin with"),
        (lambda: Target(name="cpu", runtimes=()), "runtimes must name at least one"),
        (lambda: Benchmark(batch_sizes=()), "batch_sizes"),
        (lambda: Benchmark(batch_sizes=(0,)), "batch_sizes"),
        (lambda: Benchmark(seconds=0.05), "trial_seconds not above seconds"),
        (lambda: Benchmark(confidence=1.0), "confidence"),
        (lambda: Benchmark(threads=-1), "threads"),
        (lambda: ServiceSettings(port=80), "port must be 0, or from 1024"),
        (lambda: ServiceSettings(timeout_s=0), "timeout_s"),
        (lambda: Tolerance(values=-1.0), "must not be negative"),
    ],
)
def test_ranges(make: Callable[[], object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_a_quantizer_that_uses_ranges_has_something_that_finds_them() -> None:
    class NeedsRanges(FakePass):
        needs = Need.RANGES

    with pytest.raises(ValueError, match="name a calibrator"):
        Recipe(quantizer=NeedsRanges())
    assert Recipe(quantizer=NeedsRanges(), calibrator=FakeCalibrator()).passes == ()


def test_provisional_is_shorter() -> None:
    benchmark = Benchmark(seconds=5.0, trial_seconds=0.2)
    assert (benchmark.provisional().seconds, benchmark.provisional().batch_sizes) == (0.2, benchmark.batch_sizes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "is not valid JSON"),
        (b"\xff", "is not valid JSON"),
        (b'{"model": "\xff"}', "is not valid JSON"),
        (b"[]", "the plan is not valid: Expected `object`, got `array`"),
        (b"{}", "the plan is not valid: Object missing required field"),
    ],
)
def test_what_is_no_plan(text: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        Plan.from_json(text)


def spoilt(**changes: object) -> dict[str, Any]:
    """A plan's data with something else at some of its keys, written as a__b for a.b."""
    data = data_of(fake_plan())
    for key, value in changes.items():
        node = data
        *path, last = key.split("__")
        for part in path:
            node = node[part]
        node[last] = value
    return data


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (spoilt(nosuch=1), "nosuch is not known"),
        (spoilt(benchmark__secnds=1), "benchmark.secnds is not known"),
        (spoilt(recipe__none__nosuch=1), "recipe.none.nosuch is not known"),
        (spoilt(benchmark__seconds="x"), "Expected `float`, got `str` - at `[$].benchmark.seconds`"),
        (spoilt(source=3), "expected a worker, got 3"),
        (spoilt(source___target_="os.system"), "source._target_ 'os.system' is not allowed in source"),
        (spoilt(source___target_="fdpipe.gate.quality.Quality"), "is not allowed in source"),
        (spoilt(source__nosuch=1), "source.nosuch is no setting of FakeSource"),
        (spoilt(versions={"fdpipe": "0.0.1", "other": "1"}), r"made by fdpipe 0\.0\.1, this is .*: plan again"),
        (spoilt(versions={"other": "1"}, nosuch=1), "made by other 1, this is not installed: plan again"),
        (spoilt(gate={}), "gate is empty"),
        (spoilt(orchestrator="airflow"), "Invalid enum value 'airflow'"),
    ],
)
def test_a_plan_that_was_changed_is_refused_in_one_line(data: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as found:
        Plan.from_dict(data)
    assert "\n" not in str(found.value)


def test_a_plan_that_holds_arrays_cannot_be_written_down() -> None:
    plan = fake_plan()
    held = replace(plan, data=replace(plan.data, evaluation=Arrays(features={"x": np.zeros((3, 4))})))
    with pytest.raises(ConfigError, match="in memory cannot be written down"):
        held.to_json()
