"""A pass of a user's own package: chosen by name in a recipe, and applied like ours."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe import config, graphs, workers
from fdpipe.plan import Plan
from fdpipe.stages.optimize import optimize
from fdpipe.store import LocalStore
from tests import onnx_models
from tests.contracts.passes import answers

PASS = '''
"""Without activations."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from fdpipe import graphs
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need


@dataclass(frozen=True, kw_only=True)
class Linear:
    """Replace each `operator` by Identity."""

    packages: ClassVar[tuple[str, ...]] = ("onnx",)
    takes: ClassVar[str] = "onnx"
    gives: ClassVar[str] = "onnx"
    needs: ClassVar[Need] = Need.NOTHING

    operator: str = "Relu"

    def requires(self, source: Path) -> None:
        if self.operator not in graphs.operators(source):
            raise NotApplicable(f"the graph has no {self.operator}")

    def apply(self, source: Path, target: Path, calibration: Calibration) -> None:
        model = graphs.read(source)
        for node in model.graph.node:
            node.op_type = "Identity" if node.op_type == self.operator else node.op_type
        graphs.write(model, target)

    def ensures(self, source: Path, target: Path) -> None:
        graphs.ensure_replaces(target, source)
'''


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Path]:
    """A project with a package of its own, as pip leaves it in an editable installation, and its files in conf/."""
    files = {
        "own_passes/__init__.py": "",
        "own_passes/passes/__init__.py": "",
        "own_passes/passes/linear.py": PASS,
        "own_passes-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: own-passes\nVersion: 1.0\n",
        "own_passes-1.0.dist-info/entry_points.txt": "[fdpipe.plugins]\nown_passes = own_passes\n",
        "conf/passes/linear.yaml": "# Linear.\n_target_: own_passes.passes.linear.Linear\noperator: Relu # what goes\n",
        "conf/recipe/straight.yaml": (
            "# @package recipe.straight\npasses: [{fuse: {level: basic}}, linear]\ncalibrator: null\nquantizer: null\n"
        ),
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    caches = (workers.plugin_packages, workers.versions)
    sys.path.insert(0, str(tmp_path))
    for cached in caches:
        cached.cache_clear()
    try:
        yield tmp_path
    finally:
        sys.path.remove(str(tmp_path))
        for cached in caches:
            cached.cache_clear()
        for name in [name for name in sys.modules if name.partition(".")[0] == "own_passes"]:
            del sys.modules[name]


def test_a_recipe_names_it_and_the_stage_applies_it(project: Path) -> None:
    plan = config.load(["model=digits@candidate", "recipe=[none,straight]"], project=project)
    assert plan.versions["own-passes"] == "1.0"
    assert Plan.from_json(plan.to_json()) == plan
    source = onnx_models.mlp(project / "in" / "model.onnx")
    made = optimize(LocalStore(project / "store"), plan.recipe["straight"].passes, onnx_models.artifact(source))
    assert "Relu" not in graphs.operators(made.path)
    assert np.isclose(answers(made.path), answers(source)).mean() < 0.1
