"""The guide's table of metrics says what the metrics are."""

import re
from pathlib import Path

import pytest

from fdpipe.interfaces import Metric, Rowwise
from tests.contracts.settings import CONF, built

ROWS = {
    found[1]: (bool(found[2]), found[3], found[4])
    for found in re.finditer(
        r"^\| `(\w+)`( ↓)? \| (labels|original) \| [^|]+ \| (yes|no) \|",
        (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(),
        re.MULTILINE,
    )
}

NAMES = sorted(path.stem for path in (CONF / "metric").glob("*.yaml"))


def test_each_is_in_it() -> None:
    assert sorted(ROWS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_is_so(name: str) -> None:
    metric: Metric = built("metric", name)
    less, by, rowwise = ROWS[name]
    assert less is not metric.higher_is_better
    assert by == ("labels" if metric.needs_labels else "original")
    assert rowwise == ("yes" if isinstance(metric, Rowwise) else "no")
