"""Every combination, once."""

from dataclasses import replace

import pytest

from fdpipe.artifacts import Candidate, Unsupported
from fdpipe.search.grid import Grid
from tests.contracts.search import BASELINE, SPACE, SearchContract, searched, trial
from tests.contracts.settings import built


class TestGrid(SearchContract):
    @pytest.fixture
    def search(self) -> Grid:
        return Grid()


def test_its_file_builds() -> None:
    assert built("search", "grid") == Grid()


def test_tries_every_recipe_on_every_runtime_in_its_first_session() -> None:
    proposed = Grid().propose(SPACE, [trial(BASELINE)])
    assert [one.candidate for one in proposed] == [
        Candidate(runtime="first", recipe="fused"),
        Candidate(runtime="first", recipe="int8"),
        Candidate(runtime="second", recipe="none", session={"threads": 2}),
        Candidate(runtime="second", recipe="fused", session={"threads": 2}),
        Candidate(runtime="second", recipe="int8", session={"threads": 2}),
    ]
    assert list(Grid().propose(SPACE, [trial(BASELINE), *(trial(one.candidate) for one in proposed)])) == []


def test_a_runtime_that_does_not_open_is_asked_once() -> None:
    none = Candidate(runtime="second", recipe="none", session={"threads": 2})
    shut = trial(none, reason="MissingExtra: the library does not load")
    assert {one.candidate.runtime for one in Grid().propose(SPACE, [trial(BASELINE), shut])} == {"first"}
    node = Unsupported(node="scores", operator="Erf", reason="there is none")
    named = [trial(BASELINE), replace(shut, unsupported=(node,))]
    left = Grid().propose(SPACE, named)
    assert {one.candidate.recipe for one in left if one.candidate.runtime == "second"} == {"fused", "int8"}
    recipe = trial(Candidate(runtime="second", recipe="fused", session={"threads": 2}), reason="no such operator")
    left = Grid().propose(SPACE, [trial(BASELINE), trial(none), recipe])
    assert [one.candidate.recipe for one in left if one.candidate.runtime == "second"] == ["int8"]


def test_all_that_succeeded_are_finalists() -> None:
    trials = searched(Grid(), failing=("int8",))
    assert [one.candidate.name for one in Grid().finalists(trials)] == [
        "first/none", "first/fused", "second/none[threads=2]", "second/fused[threads=2]",
    ]  # fmt: skip
