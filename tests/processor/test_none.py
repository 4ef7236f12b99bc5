"""Tensors as they are."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.processor.none import Plain
from tests.contracts.processor import ProcessorContract
from tests.contracts.settings import built
from tests.processor.examples import model_of

INPUTS = (
    TensorSpec(name="pixels", dtype="float32", shape=("rows", 2)),
    TensorSpec(name="words", dtype="string", shape=("rows", "words_1")),
)


class TestPlain(ProcessorContract):
    @pytest.fixture
    def processor(self) -> Plain:
        return Plain()

    @pytest.fixture
    def model(self) -> SourceModel:
        return model_of(INPUTS, columns=False)

    @pytest.fixture
    def bound(self, processor: Plain, model: SourceModel) -> Plain:
        return processor.bind(model, INPUTS, Path())

    @pytest.fixture
    def records(self) -> dict[str, np.ndarray]:
        return {"pixels": np.array([[1, 2], [3, 4], [5, 6]]), "words": np.array([["a", ""], ["b", "c"], ["ü", "d"]])}

    @pytest.fixture
    def tensors(self, records: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {"pixels": records["pixels"].astype(np.float32), "words": records["words"].astype(object)}

    @pytest.mark.parametrize("pixels", [np.zeros((3, 3)), np.zeros(3), np.zeros((3, 2, 1))])
    def test_another_shape_is_told(self, bound: Plain, records: dict[str, np.ndarray], pixels: np.ndarray) -> None:
        with pytest.raises(ValueError, match=r"pixels must have the shape \(rows, 2\), got"):
            bound.prepare({**records, "pixels": pixels})

    def test_strings_are_no_numbers(self, bound: Plain, records: dict[str, np.ndarray]) -> None:
        with pytest.raises(ValueError, match="pixels must be float32, got strings"):
            bound.prepare({**records, "pixels": records["words"]})

    def test_inputs_of_different_lengths_are_told(self, bound: Plain, records: dict[str, np.ndarray]) -> None:
        with pytest.raises(ValueError, match="the numbers of rows differ: pixels has 2, words has 3"):
            bound.prepare({**records, "pixels": records["pixels"][:2]})

    def test_a_single_input_goes_by_the_name_in_the_signature(self) -> None:
        ours = TensorSpec(name="input", dtype="float64", shape=("rows", 2))
        bound = Plain().bind(model_of((ours,), columns=False), INPUTS[:1], Path())
        assert list(bound.prepare({"input": np.zeros((1, 2))})) == ["pixels"]

    def test_its_file_is_the_default(self) -> None:
        assert built("processor", "none") == Plain()
