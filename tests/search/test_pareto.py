"""Sampling for the front, replayed from the trials."""

from dataclasses import replace

import pytest

from fdpipe import workers
from fdpipe.artifacts import Candidate, Trial
from fdpipe.artifacts.front import front, standing
from fdpipe.errors import ConfigError
from fdpipe.interfaces import Search
from fdpipe.search.pareto import Pareto, Sampler
from tests.contracts.search import SearchContract
from tests.contracts.settings import built
from tests.search.world import SPACE, Truth, World, artifact, evaluation, measured


@pytest.mark.parametrize("sampler", Sampler)
class TestPareto(SearchContract):
    @pytest.fixture
    def search(self, sampler: Sampler) -> Search:
        return Pareto(sampler=sampler, random=4)


def test_its_file_builds() -> None:
    assert built("search", "pareto") == Pareto()


@pytest.mark.parametrize("setting", ["random", "max_finalists"])
def test_ranges(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting):
        workers.build("search", {**workers.describe(Pareto()), setting: 0})


def truth(one: Candidate) -> Truth:
    """The best of all is static, by mse, in bf16."""
    ratio = {"none": 1.0, "fused": 0.95, "dynamic": 0.6, "static": 0.5}[one.recipe] * (0.8 if one.runtime == "vino" else 1.0)
    ratio *= 0.9 if "precision" in one.session else 1.0
    lost = {"none": 0.0, "fused": 0.0, "dynamic": 0.02, "static": 0.005 if one.calibrator == "mse" else 0.05}[one.recipe]
    return Truth(ratios={1: ratio, 8: ratio}, loss=lost)


@pytest.mark.parametrize("sampler", Sampler)
def test_finds_the_front(sampler: Sampler) -> None:
    trials = World(truth=truth).searched(Pareto(sampler=sampler))
    assert len(trials) > 10
    finalists = Pareto().finalists(trials)
    best = Candidate(runtime="vino", recipe="static", calibrator="mse", session={"precision": "bf16"})
    assert finalists[0].candidate == best
    assert all(not trial.refusals for trial in finalists)


def test_ends_where_all_was_tried() -> None:
    few = replace(SPACE, runtimes={"ort": ({},)}, recipes={name: SPACE.recipes[name] for name in ("none", "fused")})
    assert len(World(truth=truth, space=few).searched(Pareto())) == 2


def test_it_says_how_many_combinations_are_left() -> None:
    """One at a time is proposed: their number says nothing."""
    few = replace(
        SPACE, runtimes={"ort": ({}, {"threads": 1})}, recipes={name: SPACE.recipes[name] for name in ("none", "static")}
    )
    trials = World(truth=truth, space=few).searched(Pareto())
    calibrators = len(few.recipes["static"].calibrators)
    assert Pareto().outlook(few, trials[:1]) == 2 + 2 * (1 + calibrators) - 1
    assert Pareto().outlook(few, trials) == 2 + 2 * (1 + calibrators) - len(trials)


def test_another_seed_is_another_search() -> None:
    world = World(truth=truth)
    base = [replace(world.trial(Candidate(runtime="ort", recipe="none")), speed=None)]
    assert len({Pareto(seed=seed).propose(SPACE, base)[0].candidate.name for seed in range(5)}) > 1


def test_failures_do_not_end_it() -> None:
    world = World(truth=lambda one: replace(truth(one), fails="no" if one.recipe == "static" else None))
    trials = world.searched(Pareto())
    assert {trial.candidate.recipe for trial in trials} == {"none", "fused", "dynamic", "static"}
    assert not any(trial.candidate.recipe == "static" for trial in Pareto().finalists(trials))


# --- the front --------------------------------------------------------------------------------------------------------


def stands(name: str, loss: float, time: float, size: int, memory: float | None = None) -> Trial:
    candidate = Candidate(runtime="ort", recipe=name)
    speed = measured(candidate, {1: time}, memory_mib=memory, size_bytes=size)
    return Trial(candidate=candidate, artifact=artifact(candidate, size), evaluation=evaluation(loss), speed=speed)


def test_the_front_holds_what_nothing_beats() -> None:
    base = replace(stands("none", 0.0, 1.0, 100), speed=None)
    fast, small, poor = stands("fast", 0.1, 0.2, 100), stands("small", 0.1, 0.9, 10), stands("poor", 0.1, 0.9, 100)
    failed = Trial(candidate=Candidate(runtime="ort", recipe="failed"), reason="no")
    unmeasured = replace(fast, speed=None, candidate=failed.candidate)
    assert front([base, fast, small, poor, failed, unmeasured]) == (base, fast, small)
    assert front([failed]) == ()


def test_memory_counts_where_it_was_measured() -> None:
    lean, heavy = stands("lean", 0.1, 0.5, 10, memory=50.0), stands("heavy", 0.1, 0.5, 10, memory=80.0)
    assert front([lean, heavy]) == (lean,)
    assert front([replace(lean, speed=measured(lean.candidate, {1: 0.5})), heavy])[1] is heavy


def test_two_of_the_same_are_both_in_it() -> None:
    one, other = stands("one", 0.1, 0.5, 10), stands("other", 0.1, 0.5, 10)
    assert front([one, other]) == (one, other)


def test_a_missing_figure_is_an_infinite_loss() -> None:
    trial = stands("blind", 0.0, 0.5, 10)
    assert trial.evaluation is not None
    blind = replace(trial, evaluation=replace(trial.evaluation, quality={"accuracy": None}))
    found = standing(blind)
    assert found is not None
    assert found.loss == float("inf")
