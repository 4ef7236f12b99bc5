"""The search in rounds, in worlds that say what each candidate would turn out to be."""

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from fdpipe.artifacts import Candidate, Diagnosis, NodeLoss, Sensitivity, Trial
from fdpipe.interfaces import Search
from fdpipe.search.auto import Auto
from fdpipe.space import Choice, Space
from tests.contracts.search import SearchContract
from tests.contracts.settings import built
from tests.search.world import ALLOWED, SPACE, Truth, World

NODES = tuple(f"n{number}" for number in range(7))
SOUND = Truth(ratios={1: 0.9, 8: 0.9})


class TestAuto(SearchContract):
    @pytest.fixture
    def search(self) -> Search:
        return Auto()


def test_its_file_builds() -> None:
    assert built("search", "auto") == Auto()


@pytest.mark.parametrize("settings", [{"max_finalists": 0}, {"max_rounds": -1}])
def test_ranges(settings: Mapping[str, int]) -> None:
    with pytest.raises(ValueError, match="max_finalists"):
        Auto(**settings)


def names(trials: list[Trial]) -> list[str]:
    return [trial.candidate.name for trial in trials]


# --- the cheap first --------------------------------------------------------------------------------------------------


def test_the_cheap_come_first() -> None:
    trials = World(truth=lambda _: SOUND).searched(Auto())
    assert names(trials)[:7] == [
        "ort/none", "vino/none", "ort/fused", "ort/dynamic", "vino/dynamic", "ort/static", "vino/static",
    ]  # fmt: skip


def test_trees_are_not_quantized() -> None:
    trees = replace(SPACE, operators={"TreeEnsembleClassifier": 1, "MatMul": 1})
    trials = World(truth=lambda _: SOUND, space=trees).searched(Auto())
    assert {trial.candidate.recipe for trial in trials} == {"none", "fused"}


def test_a_network_of_convolutions_is_not_quantized_without_calibration() -> None:
    convolutions = replace(SPACE, operators={"Conv": 20, "Gemm": 1})
    trials = World(truth=lambda _: SOUND, space=convolutions).searched(Auto())
    assert {trial.candidate.recipe for trial in trials} == {"none", "fused", "static"}


def test_a_processor_without_8_bits_quantizes_nothing() -> None:
    old = replace(SPACE, instruction_sets=("avx512_bf16",))
    trials = World(truth=lambda _: SOUND, space=old).searched(Auto())
    assert {trial.candidate.recipe for trial in trials} == {"none", "fused"}


def test_a_processor_without_bf16_does_not_try_it() -> None:
    trials = World(truth=lambda _: SOUND, space=replace(SPACE, instruction_sets=("avx512_vnni",))).searched(Auto())
    assert not any("bf16" in trial.candidate.name for trial in trials)
    assert any("bf16" in name for name in names(World(truth=lambda _: SOUND).searched(Auto())))


# --- sessions and calibrators -----------------------------------------------------------------------------------------


def test_a_session_is_tried_with_the_fastest_and_then_where_it_has_proved_itself() -> None:
    def truth(one: Candidate) -> Truth:
        base = {"none": 0.55, "fused": 0.56, "static": 0.5, "dynamic": 0.6}[one.recipe]
        helps = "precision" in one.session
        return Truth(
            ratios=dict.fromkeys((1, 8), base * (0.8 if helps else 1.0) * (1.01 if "spinning" in one.session else 1.0))
        )

    tried = names(World(truth=truth).searched(Auto()))
    assert {"vino/none[precision=bf16]", "vino/static[precision=bf16]", "vino/dynamic[precision=bf16]"} <= set(tried)
    assert {name for name in tried if "spinning" in name} == {"ort/static[spinning=True]"}


def test_sets_of_floats_and_sessions_come_in_turn() -> None:
    world, _ = quantized(seed=1)
    world.space = replace(world.space, runtimes=SPACE.runtimes)
    tried = [one.candidate for one in world.searched(Auto())]
    floats = [number for number, one in enumerate(tried) if one.floats]
    tuned = [number for number, one in enumerate(tried) if one.session and not one.floats]
    assert floats[0] < tuned[0] < floats[1]


def test_what_cannot_open_the_model_gets_no_quantized_one() -> None:
    world = World(truth=lambda one: replace(SOUND, fails="no such operator" if one.runtime == "vino" else None))
    assert [name for name in names(world.searched(Auto())) if name.startswith("vino")] == ["vino/none"]


def test_what_is_hopeless_leaves_early() -> None:
    def truth(one: Candidate) -> Truth:
        return Truth(ratios={1: 3.0, 8: 2.0}) if one.runtime == "vino" else SOUND

    tried = names(World(truth=truth).searched(Auto()))
    assert [name for name in tried if name.startswith("vino")] == ["vino/none", "vino/dynamic", "vino/static"]


def test_other_calibrators_until_one_passes() -> None:
    def truth(one: Candidate) -> Truth:
        if one.recipe != "static":
            return SOUND
        ratio = 0.5 if one.runtime == "ort" else 0.4
        return Truth(ratios={1: ratio, 8: ratio}, loss=0.0 if one.calibrator == "mse" else 0.5)

    world = World(truth=truth)
    tried = names(world.searched(Auto()))
    assert {"ort/static+mse", "vino/static+mse"} <= set(tried)
    assert not any("entropy" in name for name in tried)
    assert any("quality is 0.500" in why for why in world.whys)


def test_other_calibrators_only_where_they_could_make_it_the_fastest() -> None:
    world = World(truth=lambda one: replace(SOUND, loss=0.5 if one.recipe == "static" else 0.0))
    assert not any("+" in name for name in names(world.searched(Auto())))


def test_a_right_one_leads_to_the_sessions_before_a_faster_one_that_is_not() -> None:
    def truth(one: Candidate) -> Truth:
        base, loss = {"static": (0.5, 0.5), "dynamic": (0.52, 0.0)}.get(one.recipe, (0.9, 0.0))
        return Truth(ratios=dict.fromkeys((1, 8), base * (0.8 if "precision" in one.session else 1.0)), loss=loss)

    assert "vino/dynamic[precision=bf16]" in names(World(truth=truth).searched(Auto()))


# --- the fallback -----------------------------------------------------------------------------------------------------


def lossy(losses: Mapping[str, float], work: Mapping[str, float]) -> Sensitivity:
    nodes = [NodeLoss(node=name, operator="MatMul", snr_db=-10 * math.log10(losses[name]), work=work[name]) for name in losses]
    return Sensitivity(method="m", rows=8, nodes=tuple(sorted(nodes, key=lambda one: one.snr_db)))


def quantized(seed: int, idle: bool = False) -> tuple[World, float]:
    """A world in which static 8 bits lose far too much at some nodes, and the best overall ratio that passes in it. With `idle`
    some nodes have no work, and take longer in 8 bits."""
    random = np.random.default_rng(seed)
    loss = dict(zip(NODES, np.exp(random.normal(0, 2, len(NODES))), strict=True))
    loss = {name: one / sum(loss.values()) * ALLOWED * 10 ** random.uniform(0.3, 2.5) for name, one in loss.items()}
    work = dict(zip(NODES, np.exp(random.normal(0, 0.8, len(NODES))), strict=True))
    lazy = set(NODES[:2]) if idle else set()
    work = {name: 0.0 if name in lazy else one for name, one in work.items()}
    whole, gain = sum(work.values()), random.uniform(2, 4)

    def time(floats: frozenset[str]) -> float:
        busy: float = sum(one / whole * (1 if name in floats else 1 / gain) for name, one in work.items())
        return 0.2 + 0.75 * busy + 0.05 * len(lazy - floats)

    def truth(one: Candidate) -> Truth:
        runtime = {"ort": 1.0, "vino": 0.8}[one.runtime]
        if one.recipe == "static":
            ratio, lost = runtime * time(frozenset(one.floats)), sum(loss[name] for name in loss if name not in one.floats)
            return Truth(ratios=dict.fromkeys((1, 8), ratio), loss=lost)
        return Truth(ratios=dict.fromkeys((1, 8), runtime), unstable=one.recipe == "dynamic")

    every = [frozenset(some) for count in range(len(NODES) + 1) for some in itertools.combinations(NODES, count)]
    passing = [time(some) for some in every if sum(loss[name] for name in loss if name not in some) <= ALLOWED]
    space = replace(SPACE, runtimes={"ort": ({},), "vino": ({},)}, recipes={**SPACE.recipes, "static": no_calibrators()})
    return World(truth=truth, sensitivity=lossy(loss, work), space=space), 0.8 * min([1.0, *passing])


def no_calibrators() -> Choice:
    return replace(SPACE.recipes["static"], calibrators=())


@pytest.mark.parametrize("idle", [False, True])
def test_finds_what_an_exhaustive_search_finds(idle: bool) -> None:
    near = 0
    for seed in range(60):
        world, best = quantized(seed, idle)
        trials = world.searched(Auto())
        assert len(trials) <= 6 + 2 * Auto().max_rounds
        chosen = Auto().finalists(trials)[0]
        assert not chosen.refusals
        assert chosen.speed is not None
        found = chosen.speed.overall(chosen.candidate.name)
        assert found is not None
        near += found.middle <= 1.03 * best
    assert near >= 57


def test_the_log_says_which_nodes_went_back_and_why() -> None:
    loss = dict.fromkeys(NODES, 1e-4) | {"n3": 0.4}
    world, _ = quantized(0)
    ratios = dict.fromkeys((1, 8), 0.4)

    def truth(one: Candidate) -> Truth:
        if one.recipe != "static":
            return Truth(ratios=dict.fromkeys((1, 8), 1.0))
        return Truth(ratios=ratios, loss=sum(loss[name] for name in loss if name not in one.floats))

    world = replace(world, truth=truth, sensitivity=lossy(loss, dict.fromkeys(NODES, 1.0)))
    trials = world.searched(Auto())
    mended = [trial for trial in trials if trial.candidate.floats]
    assert mended[0].candidate.floats == ("n3",)
    assert mended[0].why == "quality is 0.401: n3 (MatMul, 4 dB) in float"
    assert Auto().finalists(trials)[0] is mended[0]


def test_what_stability_refuses_gets_no_fallback() -> None:
    def truth(one: Candidate) -> Truth:
        return Truth(ratios={1: 0.5, 8: 0.5}, loss=0.5 * (one.recipe == "dynamic"), unstable=one.recipe == "dynamic")

    losses = lossy(dict.fromkeys(NODES, 0.1), dict.fromkeys(NODES, 1.0))
    trials = World(truth=truth, sensitivity=losses).searched(Auto())
    assert not any(trial.candidate.floats for trial in trials)


def test_no_more_rounds_than_allowed() -> None:
    def truth(one: Candidate) -> Truth:
        static = one.recipe == "static"
        return Truth(ratios=dict.fromkeys((1, 8), 0.3 if static else 0.9), loss=0.5 * static)

    many = {f"n{number}": 0.1 for number in range(500)}
    world = replace(quantized(0)[0], truth=truth, sensitivity=lossy(many, dict.fromkeys(many, 1.0)))
    assert not any(trial.candidate.floats for trial in world.searched(Auto(max_rounds=0)))
    by_runtime = [trial.candidate.runtime for trial in world.searched(Auto(max_rounds=1)) if trial.candidate.floats]
    assert by_runtime == ["ort", "vino"]


def test_nodes_that_do_not_pay_go_back_though_the_answers_are_right() -> None:
    slow = Diagnosis(reasons=("Q/DQ is not fused",), unpaid=("n1", "n2"))

    def truth(one: Candidate) -> Truth:
        quick = one.recipe != "static" or one.floats
        return Truth(ratios=dict.fromkeys((1, 8), 0.7 if quick else 1.1), diagnosis=None if quick else slow)

    world = World(truth=truth)
    trials = world.searched(Auto())
    assert {trial.candidate.floats for trial in trials} == {(), ("n1", "n2")}
    assert any(why.startswith("n1, n2 take longer in 8 bits than in float") for why in world.whys)
    small = World(truth=truth, space=replace(SPACE, operators={"Gemm": 2})).searched(Auto())
    assert {trial.candidate.floats for trial in small} == {()}, "nothing would stay in 8 bits"


# --- by the number of rows --------------------------------------------------------------------------------------------

BY_ROWS = replace(
    SPACE, runtimes={"ort": ({},), "native": ({},)}, by_rows="by_rows", batch_sizes=(1, 8, 32),
    recipes={"none": Choice(runtimes=("ort", "native"))},
)  # fmt: skip


def test_one_for_few_rows_and_another_for_many() -> None:
    native = Truth(ratios={1: 5.0, 8: 0.9, 32: 0.4})
    both = Truth(ratios={1: 1.0, 8: 0.9, 32: 0.4})
    world = World(truth=lambda one: both if one.parts else native, space=BY_ROWS)
    trials = world.searched(Auto())
    assert (
        names(trials) == ["ort/none", "native/none", "by_rows(1+: ort/none, 8+: native/none)/none"] or trials[2].candidate.parts
    )
    assert [rows for rows, _ in trials[2].candidate.parts] == [1, 8]
    assert Auto().finalists(trials) == [trials[2]]


@pytest.mark.parametrize("ratios", [{1: 0.5, 8: 0.5, 32: 0.5}, {1: 2.0, 8: 2.0, 32: 2.0}, {1: 0.99, 8: 1.0, 32: 0.99}])
def test_no_parts_where_one_is_the_best_for_all(ratios: Mapping[int, float]) -> None:
    trials = World(truth=lambda _: Truth(ratios=ratios), space=BY_ROWS).searched(Auto())
    assert names(trials) == ["ort/none", "native/none"]


def test_no_parts_of_what_answers_wrongly_or_without_a_runtime_for_them() -> None:
    wrong = Truth(ratios={1: 5.0, 8: 0.9, 32: 0.4}, loss=0.5)
    assert len(World(truth=lambda _: wrong, space=BY_ROWS).searched(Auto())) == 2
    alone = replace(BY_ROWS, by_rows="")
    assert len(World(truth=lambda _: replace(wrong, loss=0.0), space=alone).searched(Auto())) == 2


# --- the finalists ----------------------------------------------------------------------------------------------------


def ranked(*ratios: float, loss: float = 0.0) -> list[Trial]:
    def truth(one: Candidate) -> Truth:
        ratio = float(one.session.get("ratio", 1.0))
        return Truth(ratios={1: ratio, 8: ratio}, loss=loss)

    world = World(truth=truth)
    base = replace(world.trial(Candidate(runtime="ort", recipe="none")), speed=None, refusals=())
    return [base, *(world.trial(Candidate(runtime="ort", recipe="fused", session={"ratio": ratio})) for ratio in ratios)]


def test_finalists_are_the_fastest_and_those_near_them() -> None:
    trials = ranked(0.9, 0.5, 0.51, 0.52, 0.7)
    assert [trial.candidate.session["ratio"] for trial in Auto().finalists(trials)] == [0.5, 0.51, 0.52]
    assert [trial.candidate.session["ratio"] for trial in Auto(max_finalists=2).finalists(trials)] == [0.5, 0.51]
    assert [trial.candidate.session["ratio"] for trial in Auto().finalists(ranked(0.9, 0.5, 0.7))] == [0.5, 0.7]


def test_where_all_are_refused_the_least_refused_say_why() -> None:
    trials = ranked(0.9, 0.5, 0.7, loss=0.5)
    assert [trial.candidate.session["ratio"] for trial in Auto().finalists(trials)] == [0.5, 0.7]


def test_it_foresees_what_is_still_to_come() -> None:
    world, _ = quantized(1)
    trials = world.searched(Auto())
    assert Auto().outlook(world.space, trials) == 0
    assert Auto().outlook(world.space, trials[:1]) >= 6
    first = next(number for number, one in enumerate(trials) if one.candidate.floats)
    assert Auto().outlook(world.space, trials[:first]) >= 3


def test_only_the_baseline() -> None:
    only = Space(runtimes={"ort": ({},)}, recipes={"none": Choice(runtimes=("ort",))})
    assert len(World(truth=lambda _: SOUND, space=only).searched(Auto())) == 1
