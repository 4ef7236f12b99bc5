"""What every pass must do."""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pytest

from fdpipe import workers
from fdpipe.artifacts import Artifact, Ranges, TensorSpec
from fdpipe.calibrator.minmax import MinMax
from fdpipe.content import files_below, tree_digest
from fdpipe.errors import NotApplicable
from fdpipe.interfaces import Calibration, Need, Pass
from fdpipe.openvino import library
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.runtime.openvino import OpenVino
from tests import onnx_models

XML = ".xml"
"""How OpenVINO's models end, beside which their weights lie."""

ROWS = np.random.default_rng(1).normal(size=(256, 16)).astype(np.float32)


def ranges_of(path: Path, rows: np.ndarray = ROWS) -> Ranges:
    """Calibrated on the rows."""
    values = MinMax().collect(path, lambda: [{"x": rows}])
    return Ranges(method="minmax", rows=len(rows), data_digest="", values=values, inputs={})


def answers(path: Path, rows: np.ndarray = ROWS) -> np.ndarray:
    """What the model says."""
    if path.suffix == XML:
        return OpenVino().open(of_openvino(path), {}).run({"x": rows})["y"]
    return OnnxRuntime().open(onnx_models.artifact(path), {}).run({"x": rows})["y"]


def of_openvino(path: Path) -> Artifact:
    """The XML file as the line sees it."""
    model = library().Core().read_model(str(path))
    inputs, outputs = (
        tuple(
            TensorSpec(
                name=port.any_name,
                dtype=str(np.dtype(port.element_type.to_dtype())),
                shape=tuple("rows" if axis.is_dynamic else axis.get_length() for axis in port.partial_shape),
            )
            for port in ports
        )
        for ports in (model.inputs, model.outputs)
    )
    digest = tree_digest(path.parent)
    return Artifact(kind="openvino", path=path, digest=digest, size_bytes=1, inputs=inputs, outputs=outputs)


def calibrated(path: Path, rows: np.ndarray = ROWS) -> Calibration:
    """Ranges, and the rows in batches of 8."""
    return Calibration(
        ranges=ranges_of(path, rows), batches=lambda: ({"x": rows[start : start + 8]} for start in range(0, len(rows), 8))
    )


def done(one: Pass, source: Path, target: Path) -> Path:
    """requires → apply → ensures; where it is, with the ending of its kind."""
    target = target.with_suffix(XML) if one.gives == "openvino" else target
    target.parent.mkdir(parents=True, exist_ok=True)
    one.requires(source)
    one.apply(source, target, Calibration() if one.needs is Need.NOTHING else calibrated(source))
    one.ensures(source, target)
    return target


class PassContract:
    """Inherit it, with a fixture `one` and the largest difference that its answers on an MLP may have; and say whether it
    works on any model at all and knows the operators of ai.onnx.ml, and which MLP has something for it."""

    tolerance = 1e-4
    takes_any_model = False
    knows_scalers = True
    mlp = staticmethod(onnx_models.mlp)
    refusal = r"the graph has no .*MatMul"

    def test_is_made_again_from_its_settings(self, one: Pass) -> None:
        assert workers.build("passes", workers.describe(one)) == one

    @pytest.mark.parametrize("scaler", [False, True])
    def test_answers_nearly_the_same(self, one: Pass, tmp_path: Path, scaler: bool) -> None:
        if scaler and not self.knows_scalers:
            pytest.skip("it does not know operators of ai.onnx.ml")
        source = self.mlp(tmp_path / "in" / "model.onnx", scaler=scaler)
        found = answers(done(one, source, tmp_path / "out" / "model.onnx"))
        assert np.abs(found - answers(source)).max() <= self.tolerance

    def test_keeps_inputs_outputs_and_symbolic_rows(self, one: Pass, tmp_path: Path) -> None:
        source = self.mlp(tmp_path / "in" / "model.onnx")
        target = done(one, source, tmp_path / "out" / "model.onnx")
        if target.suffix != XML:
            onnx.checker.check_model(str(target))
        made = (of_openvino if target.suffix == XML else onnx_models.artifact)(target)
        given = onnx_models.artifact(source)
        assert (made.inputs, made.outputs) == (given.inputs, given.outputs)
        assert len(answers(target, ROWS[:1])) == 1
        assert len(answers(target, ROWS[:7])) == 7

    def test_writes_the_same_bytes_again(self, one: Pass, tmp_path: Path) -> None:
        source = self.mlp(tmp_path / "in" / "model.onnx")
        for name in ("first", "second"):
            done(one, source, tmp_path / name / "model.onnx")
        assert tree_digest(tmp_path / "first") == tree_digest(tmp_path / "second")

    def test_takes_weights_beside_the_graph(self, one: Pass, tmp_path: Path) -> None:
        source = self.mlp(tmp_path / "in" / "model.onnx", external=True)
        target = done(one, source, tmp_path / "out" / "model.onnx")
        (source.parent / "model.onnx.data").unlink()
        moved = target.parent.rename(tmp_path / "moved") / target.name
        assert np.abs(answers(moved) - onnx_models.mlp_tensors(ROWS)["y"]).max() <= self.tolerance

    def test_leaves_nothing_behind(self, one: Pass, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        source = self.mlp(tmp_path / "in" / "model.onnx")
        for name in ("cwd", "tmp"):
            (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / "cwd")
        monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
        monkeypatch.setattr(tempfile, "tempdir", None)
        before = tree_digest(source.parent)
        target = done(one, source, tmp_path / "out" / "model.onnx")
        assert tree_digest(source.parent) == before
        weights = [target.with_suffix(".bin")] if target.suffix == XML else []
        assert files_below(tmp_path) == [source, *weights, target]

    def test_refuses_a_model_with_nothing_for_it(self, one: Pass, tmp_path: Path) -> None:
        source = onnx_models.tree(tmp_path / "model.onnx")
        if self.takes_any_model:
            one.requires(source)
        else:
            with pytest.raises(NotApplicable, match=self.refusal):
                one.requires(source)

    def test_without_ranges_it_works_or_says_that_it_needs_them(self, one: Pass, tmp_path: Path) -> None:
        source = self.mlp(tmp_path / "model.onnx")
        if one.needs is not Need.NOTHING:
            with pytest.raises(NotApplicable, match=r"needs (ranges|calibration rows)"):
                one.apply(source, tmp_path / "out.onnx", Calibration())
        else:
            done(one, source, tmp_path / "out" / "model.onnx")

    def test_does_not_promise_another_model(self, one: Pass, tmp_path: Path) -> None:
        source = self.mlp(tmp_path / "model.onnx")
        other = onnx_models.two_inputs(tmp_path / "other.onnx")
        with pytest.raises(NotApplicable):
            one.ensures(source, other)
