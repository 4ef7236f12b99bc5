"""Every estimator of scikit-learn, as docs/estimators.md has it: it agrees, or is refused in one line."""

import functools
from pathlib import Path

import pytest

from bench.estimators import AGREES, CURED, PROMISED, REFUSED, Outcome, outcome_of, page
from bench.subjects import compositions, names, subject_of

pytestmark = pytest.mark.filterwarnings("ignore")  # scikit-learn's, on data that suits few of its estimators well

NAMES = names()


@pytest.fixture(autouse=True)
def _bundles(home: Path) -> None:
    """What is kept of a refusal lies in a folder of its own."""


@functools.cache
def outcome(name: str) -> Outcome:
    return outcome_of(subject_of(name))


@functools.cache
def composed() -> dict[str, Outcome]:
    return {subject.name: outcome_of(subject) for subject in compositions()}


@pytest.mark.parametrize("name", NAMES)
def test_it_agrees_or_is_refused_in_one_line(name: str) -> None:
    found = outcome(name)
    assert found.result in (AGREES, CURED, REFUSED)
    assert bool(found.told) == (found.result != AGREES)
    assert "\n" not in found.told
    assert "Traceback" not in found.told


def test_as_many_as_promised_agree() -> None:
    assert sum(outcome(name).agrees for name in NAMES) >= PROMISED


def test_neighbours_of_digits_are_refused_or_cured() -> None:
    found = composed()["KNeighborsClassifier on digits"]
    assert found.result in (CURED, REFUSED)
    assert "the export answers otherwise" in found.told


@pytest.mark.parametrize(
    "name", ["RandomForestClassifier behind StandardScaler on breast cancer", "HistGradientBoostingRegressor on diabetes"]
)
def test_float64_cures_trees(name: str) -> None:
    assert composed()[name].result == CURED


def test_the_other_compositions_agree() -> None:
    refused = [name for name, found in composed().items() if not found.agrees]
    assert refused in ([], ["KNeighborsClassifier on digits"])


def test_the_page_has_a_row_for_each() -> None:
    text = page([outcome(name) for name in NAMES[:5]], list(composed().values())[:1])
    assert text.count("\n| ") == 2 + 5 + 1
    assert f"{sum(outcome(name).agrees for name in NAMES[:5])} of 5 convert and agree" in text
