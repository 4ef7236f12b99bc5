"""A gate that demands what nothing can have ends the search before it begins, with the verdict that it would have had."""

import pytest

from fdpipe.artifacts import Outcome, Record
from fdpipe.errors import Exit
from fdpipe.execution import exit_code
from fdpipe.gate.loss import Drop
from fdpipe.gate.quality import Quality
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.f1 import F1
from fdpipe.metric.mae import Mae
from fdpipe.pipeline import run
from fdpipe.progress import Event
from fdpipe.testing import FakeMetric
from fdpipe.testing.rehearsal import Rehearsal, fake_plan

pytestmark = pytest.mark.usefixtures("home")


@pytest.mark.parametrize(
    ("max_drop", "drop", "figure", "metric", "told"),
    [
        (-1.0, Drop.ABSOLUTE, 0.9, Accuracy(), "figure is 0.9000 and at best 1.0000, so that no candidate can gain 1.0000"),
        (-0.11, Drop.ABSOLUTE, 0.9, Accuracy(), "figure is 0.9000 and at best 1.0000, so that no candidate can gain 0.1100"),
        (-0.09, Drop.ABSOLUTE, 0.9, Accuracy(), ""),
        (-0.11, Drop.RELATIVE, 0.9, Accuracy(), ""),
        (-0.12, Drop.RELATIVE, 0.9, Accuracy(), "figure is 0.9000 and at best 1.0000, so that no candidate can gain 12.00%"),
        (-1.0, Drop.RELATIVE, 0.0, Accuracy(), ""),
        (-3.0, Drop.ABSOLUTE, 2.5, Mae(), "figure is 2.5000 and at best 0.0000, so that no candidate can gain 3.0000"),
        (-2.0, Drop.ABSOLUTE, 2.5, Mae(), ""),
        (-1.0, Drop.ABSOLUTE, 0.9, F1(), ""),
        (-1.0, Drop.ABSOLUTE, None, Accuracy(), ""),
        (0.0, Drop.ABSOLUTE, 1.0, Accuracy(), ""),
    ],
)
def test_a_gain_is_out_of_reach_by_the_metrics_own_bounds(
    max_drop: float, drop: Drop, figure: float | None, metric: Metric, told: str
) -> None:
    check = Quality(max_drop=max_drop, drop=drop)
    assert check.out_of_reach({"figure": figure}, {"figure": metric}) == told


def test_agreement_cannot_gain_at_all() -> None:
    assert Quality(max_drop=-0.01).out_of_reach({"agreement": 1.0}, {}).startswith("agreement is 1.0000 and at best 1.0000")
    assert Quality(max_drop=-0.01).out_of_reach({"another": 1.0}, {}) == ""


def searched(max_drop: float, metric: Metric) -> Record:
    return run(fake_plan(gate={"quality": Quality(max_drop=max_drop)}, metric={"accuracy": metric}), call=Rehearsal())


def test_nothing_is_tried_that_cannot_pass(events: list[Event]) -> None:
    record = searched(-1.0, Accuracy())
    assert [trial.candidate.name for trial in record.trials] == ["fake/none"]
    assert any("nothing else is tried: accuracy is" in event.detail for event in events if event.kind == "note")
    whole = searched(-1.0, FakeMetric())
    assert len(whole.trials) == 2, "where the metric says no bounds, all is tried"
    for one in (record, whole):
        assert one.rejection is not None
        assert one.rejection.outcome is Outcome.FAIL
        assert exit_code(one) == Exit.REJECTED
