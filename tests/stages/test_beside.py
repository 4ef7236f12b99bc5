"""What candidates are judged beside."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fdpipe.artifacts import Examples, Outcome
from fdpipe.errors import NotApplicable
from fdpipe.gate.slices import Slices
from fdpipe.stages.beside import Beside, Known
from fdpipe.stages.judge import verdict_on
from fdpipe.testing import FakeMetric
from tests.contracts.gate import beside, evaluation, measured
from tests.stages.test_judge import trial

asked: list[str] = []


@dataclass(frozen=True, kw_only=True)
class Halves:
    """Two slices, or none; each time that it is asked is remembered."""

    name: str = "halves"
    suits: bool = True

    def slices(self, examples: Examples) -> Mapping[str, np.ndarray]:
        asked.append(self.name)
        if not self.suits:
            raise NotApplicable("the rows have no halves")
        rows = np.arange(len(next(iter(examples.features.values()))))
        return {"first": rows < len(rows) // 2, "second": rows >= len(rows) // 2}


def sliced(slicer: Halves) -> Beside:
    return replace(beside(), slicer={"mine": slicer})


def test_rows_are_sliced_once_for_all_trials_of_a_search() -> None:
    asked.clear()
    first = Known.of(sliced(Halves(name="one")))
    assert list(first.slices) == ["mine: first", "mine: second"]
    assert Known.of(sliced(Halves(name="one"))) is first, "of the same content"
    assert asked == ["one"]
    assert Known.of(sliced(Halves(name="two"))) is not first
    assert Known.of(replace(sliced(Halves(name="two")), incumbent=evaluation())).incumbent is not None
    assert asked == ["one", "two", "two"]


def test_a_slicer_that_suits_no_row_leaves_nothing_to_conclude_from() -> None:
    metrics, trials = {"accuracy": FakeMetric()}, (trial("none"),)
    for slicer, outcome in ((Halves(), Outcome.PASS), (Halves(suits=False), Outcome.INCONCLUSIVE)):
        found = verdict_on({"slices": Slices()}, metrics, trials, measured(), sliced(slicer), {})
        assert found.outcome is outcome
    assert found.reason.startswith("slices: rt/none no slice could be judged: these rows have not what mine would slice by")
