"""A user's own metric: one file in a package of theirs, one in their conf/."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe import config, workers
from fdpipe.errors import ConfigError
from fdpipe.interfaces import Metric, OwnTruth, Rowwise
from fdpipe.stages.evaluate import scores

WORKER = '''"""The share of rows whose first answer is nearly the original's."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Near:
    """Between 0 and 1."""

    higher_is_better: ClassVar[bool] = True
    unit: ClassVar[str] = "share"
    needs_labels: ClassVar[bool] = False
    bounds: ClassVar[tuple[float, float]] = (0.0, 1.0)

    within: float = 0.1

    def truth(self, original):
        return original["first"]

    def score(self, answers, labels):
        return float(self.of_rows(answers, labels).mean())

    def of_rows(self, answers, labels):
        return (np.abs(answers["first"] - labels) <= self.within).astype(np.float64)
'''

SETTINGS = """# @package metric.near
# The share of rows whose first answer is nearly the original's.
_target_: acme_models.metric.near.Near
within: 0.1 # how far it may be
"""


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project with both files, its package installed and registered."""
    info, room, conf = (
        tmp_path / "acme-1.0.dist-info",
        tmp_path / "acme_models" / "metric",
        tmp_path / "project" / "conf" / "metric",
    )
    for folder in (info, room, conf):
        folder.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fdpipe.plugins]\nacme_models = acme_models\n")
    for folder in (room.parent, room):
        (folder / "__init__.py").write_text("")
    (room / "near.py").write_text(WORKER)
    (conf / "near.yaml").write_text(SETTINGS)
    sys.path.insert(0, str(tmp_path))
    _forget()
    try:
        yield tmp_path / "project"
    finally:
        sys.path.remove(str(tmp_path))
        _forget()


def _forget() -> None:
    for cached in (workers.plugin_packages, workers.versions):
        cached.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "acme_models"]:
        del sys.modules[name]


def test_it_is_chosen_by_name_and_judges(project: Path) -> None:
    plan = config.load(["model=a@b", "metric=[accuracy,near]", "metric.near.within=0.5"], project=project)
    assert list(plan.metric) == ["accuracy", "near"]
    metric: Metric = plan.metric["near"]
    assert isinstance(metric, Rowwise)
    assert isinstance(metric, OwnTruth)
    original = {"first": np.array([0.0, 1.0, 2.0]), "second": np.zeros(3)}
    found = scores({"near": metric}, original | {"first": np.array([0.4, 1.0, 3.0])}, None, None, original)
    assert found == {"near": pytest.approx(2 / 3)}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("metric=[accuracy,auroch]", ["there is no metric 'auroch'", "mean_average_precision", "did you mean auroc?"]),
        ("metric=naer", ["near", "did you mean near?"]),
        ("metric.near.with_in=1", ["metric.near.with_in", "choose from within"]),
        ("metric.near.within=much", ["metric.near.within must be a number"]),
    ],
)
def test_a_wrong_name_is_refused_in_one_line(project: Path, override: str, words: list[str]) -> None:
    chosen = [] if override.startswith("metric=") else ["+metric=near"]
    with pytest.raises(ConfigError) as found:
        config.load(["model=a@b", *chosen, override], project=project)
    text = str(found.value)
    assert "\n" not in text
    assert [word for word in words if word not in text] == []
