"""What every converter must do."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.interfaces import Converter, Export


class ConverterContract:
    """Inherit it, with the fixtures `converter`, `model` (one that it accepts) and `batch` (rows for the graph and, under
    the same names, for the original)."""

    def test_is_made_again_from_its_settings(self, converter: Converter) -> None:
        assert workers.build("converter", workers.describe(converter)) == converter

    def test_accepts_its_own_flavour_only(self, converter: Converter, model: SourceModel) -> None:
        assert converter.accepts(model)
        assert not converter.accepts(replace(model, flavour="someone's own"))

    def test_the_export_is_valid_and_says_what_it_takes_and_answers(
        self, converter: Converter, model: SourceModel, tmp_path: Path
    ) -> None:
        export = exported(converter, model, tmp_path)
        onnx.checker.check_model(str(export.path))
        session = open_export(export.path)
        assert [spec.name for spec in export.inputs] == [value.name for value in session.get_inputs()]
        assert [spec.name for spec in export.outputs] == [value.name for value in session.get_outputs()]
        assert all(spec.shape[0] == "rows" for spec in (*export.inputs, *export.outputs))

    def test_two_exports_are_the_same(self, converter: Converter, model: SourceModel, tmp_path: Path) -> None:
        one, other = (exported(converter, model, tmp_path / name).path for name in "ab")
        assert one.read_bytes() == other.read_bytes()

    def test_original_and_export_answer_alike(
        self, converter: Converter, model: SourceModel, batch: Batch, tmp_path: Path
    ) -> None:
        export = exported(converter, model, tmp_path)
        original, copy = answers(converter, model, batch), ask(export.path, batch)
        assert set(original) == set(copy)
        for name, array in original.items():
            assert array.shape == copy[name].shape
            if array.dtype.kind == "f":
                assert array.dtype == copy[name].dtype
                np.testing.assert_allclose(array, copy[name], rtol=1e-4, atol=1e-5)
            else:
                assert array.tolist() == copy[name].tolist()


def exported(converter: Converter, model: SourceModel, folder: Path, precision: Precision = Precision.FLOAT32) -> Export:
    """The export, below a new folder in `folder`."""
    (folder / "export").mkdir(parents=True)
    return converter.export(model, converter.load(model), folder / "export", precision)


def answers(converter: Converter, model: SourceModel, features: Batch) -> dict[str, np.ndarray]:
    """The original's answers."""
    return converter.predict(model, converter.load(model), features)


def open_export(path: Path) -> onnxruntime.InferenceSession:
    """ONNX Runtime refuses what the checker lets pass."""
    return onnxruntime.InferenceSession(path)


def ask(path: Path, batch: Batch) -> dict[str, np.ndarray]:
    """The export's answers."""
    session = open_export(path)
    names = [value.name for value in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(batch)), strict=True))
