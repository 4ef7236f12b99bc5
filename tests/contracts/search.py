"""What every search must do."""

from pathlib import Path

import pytest

from fdpipe import workers
from fdpipe.artifacts import Answers, Artifact, Candidate, Evaluation, Invariance, Trial
from fdpipe.interfaces import Search
from fdpipe.space import Choice, Space

SPACE = Space(
    runtimes={"first": ({}, {"threads": 1}), "second": ({"threads": 2},)},
    recipes={name: Choice(runtimes=("first", "second")) for name in ("none", "fused", "int8")},
)
BASELINE = Candidate(runtime="first", recipe="none")
ROUNDS = 100


def trial(candidate: Candidate, *, reason: str | None = None) -> Trial:
    """A succeeded trial, or one that failed for that reason."""
    if reason is not None:
        return Trial(candidate=candidate, reason=reason)
    artifact = Artifact(kind="onnx", path=Path("m"), digest=candidate.name, size_bytes=1, inputs=(), outputs=())
    evaluation = Evaluation(
        rows=1,
        quality={"accuracy": 1.0},
        reference={"accuracy": 1.0},
        agreement=1.0,
        answers=Answers(path=Path("a"), digest="a"),
        invariance=Invariance(rows=1, changed=0, largest_difference=0.0, worst_setting="in batches of 8"),
    )
    return Trial(candidate=candidate, artifact=artifact, evaluation=evaluation)


def searched(search: Search, space: Space = SPACE, failing: tuple[str, ...] = ()) -> list[Trial]:
    """The trials of a whole search, the baseline first; recipes in `failing` fail."""
    trials = [trial(BASELINE)]
    for _ in range(ROUNDS):
        proposals = search.propose(space, trials)
        if not proposals:
            return trials
        for one in (proposal.candidate for proposal in proposals):
            trials.append(trial(one, reason="it failed" if one.recipe in failing else None))
    raise AssertionError(f"no end after {ROUNDS} rounds")


class SearchContract:
    """Inherit it, with a fixture `search`."""

    def test_is_made_again_from_its_settings(self, search: Search) -> None:
        assert workers.build("search", workers.describe(search)) == search

    def test_is_a_pure_function_of_the_trials(self, search: Search) -> None:
        trials = [trial(BASELINE)]
        assert search.propose(SPACE, trials) == search.propose(SPACE, trials)
        assert trials == [trial(BASELINE)]
        assert searched(search) == searched(search)

    def test_tries_nothing_twice(self, search: Search) -> None:
        names = [one.candidate.name for one in searched(search)]
        assert len(names) == len(set(names))

    def test_combines_only_what_there_is(self, search: Search) -> None:
        for one in searched(search)[1:]:
            assert one.candidate.session in SPACE.runtimes[one.candidate.runtime]
            assert one.candidate.recipe in SPACE.recipes

    def test_goes_on_after_failures(self, search: Search) -> None:
        assert len(searched(search, failing=("fused", "int8"))) > 1

    def test_ends_where_there_is_only_the_baseline(self, search: Search) -> None:
        only = Space(runtimes={"first": ({},)}, recipes={"none": Choice(runtimes=("first",))})
        assert [one.candidate for one in searched(search, only)] == [BASELINE]

    @pytest.mark.parametrize("failing", [(), ("fused",), ("none", "fused", "int8")])
    def test_finalists_are_succeeded_trials(self, search: Search, failing: tuple[str, ...]) -> None:
        trials = searched(search, failing=failing)
        finalists = search.finalists(trials)
        assert all(one in trials and one.succeeded for one in finalists)
