"""Fixed shapes."""

import functools
from pathlib import Path

import numpy as np
import onnx
import pytest

from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Pass
from fdpipe.passes.fixed_shapes import FixedShapes
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.optimize import optimize
from fdpipe.store import LocalStore
from tests import onnx_models
from tests.contracts.passes import PassContract, answers, done
from tests.contracts.settings import built


class TestFixedShapes(PassContract):
    mlp = staticmethod(functools.partial(onnx_models.mlp, features="features"))
    refusal = "the graph has no symbolic axis 'features' to fix: all but the rows are fixed"

    @pytest.fixture
    def one(self) -> FixedShapes:
        return FixedShapes(axes={"features": 16})

    def test_keeps_inputs_outputs_and_symbolic_rows(self, one: Pass, tmp_path: Path) -> None:
        """All but the axis that it fixes."""
        source = self.mlp(tmp_path / "in" / "model.onnx")
        target = done(one, source, tmp_path / "out" / "model.onnx")
        onnx.checker.check_model(str(target))
        made, given = (onnx_models.artifact(path) for path in (target, source))
        assert made.outputs == given.outputs
        assert [spec.shape for spec in made.inputs] == [("rows", 16)]
        assert len(answers(target, np.zeros((7, 16), np.float32))) == 7


def test_its_file_builds() -> None:
    assert built("passes", "fixed_shapes") == FixedShapes()


def test_every_shape_that_follows_is_known(tmp_path: Path) -> None:
    source = onnx_models.transformer(tmp_path / "in" / "model.onnx")
    target = done(FixedShapes(axes={"sequence": 6}), source, tmp_path / "out" / "model.onnx")
    known = {value.name: value.type.tensor_type.shape.dim for value in onnx.load(target).graph.value_info}
    assert [axis.dim_param or axis.dim_value for axis in known["shares"]] == ["rows", 2, 6, 6]
    rows = onnx_models.transformer_rows()
    found, exact = (OnnxRuntime().open(onnx_models.artifact(path), {}).run(rows)["y"] for path in (target, source))
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_the_artifact_says_so(tmp_path: Path) -> None:
    model = onnx_models.artifact(onnx_models.transformer(tmp_path / "in" / "model.onnx"))
    found = optimize(LocalStore(tmp_path / "store"), (FixedShapes(axes={"sequence": 6}),), model)
    assert [spec.shape for spec in found.inputs] == [("rows", 6, 16), ("rows", 1, 1, 6)]
    assert [spec.shape for spec in found.outputs] == [("rows", 6, 16)]


def test_an_axis_that_is_not_there_is_named_beside_those_that_are(tmp_path: Path) -> None:
    source = onnx_models.transformer(tmp_path / "model.onnx")
    with pytest.raises(NotApplicable, match=r"^the graph has no symbolic axis 'height' to fix: it has sequence$"):
        FixedShapes(axes={"height": 6}).requires(source)


@pytest.mark.parametrize(
    ("axes", "told"), [({}, "name at least one"), ({"rows": 1}, "must not name rows"), ({"s": 0}, "1 or more long, and s is 0")]
)
def test_axes_that_make_no_sense(axes: dict[str, int], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        FixedShapes(axes=axes)
