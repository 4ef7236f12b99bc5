"""Columns → tensors."""

from pathlib import Path

import numpy as np
import pytest

from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.processor.tabular import Tabular
from tests.contracts.processor import ProcessorContract, assert_same
from tests.contracts.settings import built
from tests.processor.examples import model_of

COLUMNS = (
    TensorSpec(name="age", dtype="float64", shape=("rows",)),
    TensorSpec(name="home town", dtype="string", shape=("rows",)),
    TensorSpec(name="children", dtype="int64", shape=("rows",)),
)
INPUTS = (
    TensorSpec(name="age", dtype="float32", shape=("rows", 1)),
    TensorSpec(name="home_town", dtype="string", shape=("rows", 1)),
    TensorSpec(name="children", dtype="int64", shape=("rows", 1)),
)


class TestTabular(ProcessorContract):
    @pytest.fixture
    def processor(self) -> Tabular:
        return Tabular()

    @pytest.fixture
    def model(self) -> SourceModel:
        return model_of(COLUMNS, columns=True)

    @pytest.fixture
    def bound(self, processor: Tabular, model: SourceModel) -> Tabular:
        return processor.bind(model, INPUTS, Path())

    @pytest.fixture
    def records(self) -> dict[str, np.ndarray]:
        return {"age": np.array([1.5, np.nan]), "home town": np.array(["Ulm", ""]), "children": np.array([2, 0])}

    @pytest.fixture
    def tensors(self) -> dict[str, np.ndarray]:
        return {
            "age": np.array([[1.5], [np.nan]], np.float32),
            "home_town": np.array([["Ulm"], [""]], object),
            "children": np.array([[2], [0]]),
        }

    def test_the_order_of_records_does_not_matter(
        self, bound: Tabular, records: dict[str, np.ndarray], tensors: dict[str, np.ndarray]
    ) -> None:
        assert_same(bound.prepare(dict(reversed(records.items()))), tensors)

    def test_columns_may_have_a_second_axis_of_one(
        self, bound: Tabular, records: dict[str, np.ndarray], tensors: dict[str, np.ndarray]
    ) -> None:
        assert_same(bound.prepare({name: array.reshape(-1, 1) for name, array in records.items()}), tensors)

    def test_a_wider_column_is_told(self, bound: Tabular, records: dict[str, np.ndarray]) -> None:
        with pytest.raises(ValueError, match=r"age must have one value a row, got the shape \(2, 2\)"):
            bound.prepare({**records, "age": np.zeros((2, 2))})

    def test_a_missing_whole_number_is_told(self, bound: Tabular, records: dict[str, np.ndarray]) -> None:
        with pytest.raises(ValueError, match="children must be int64: nan does not fit"):
            bound.prepare({**records, "children": np.array([1.0, np.nan])})

    def test_numbers_are_no_strings(self, bound: Tabular, records: dict[str, np.ndarray]) -> None:
        with pytest.raises(ValueError, match="home town must be string, got int64"):
            bound.prepare({**records, "home town": np.array([1, 2])})

    def test_columns_stand_side_by_side_in_a_single_input(self) -> None:
        columns = tuple(TensorSpec(name=name, dtype="float64", shape=("rows",)) for name in "ab")
        stacked = TensorSpec(name="input", dtype="float32", shape=("rows", 2))
        bound = Tabular().bind(model_of(columns, columns=True), [stacked], Path())
        prepared = bound.prepare({"b": np.array([2.0, 4.0]), "a": np.array([1.0, np.nan])})
        assert_same(prepared, {"input": np.array([[1, 2], [np.nan, 4]], np.float32)})

    def test_inputs_go_by_name_before_they_go_by_order(self) -> None:
        columns = tuple(TensorSpec(name=name, dtype="float32", shape=("rows",)) for name in "ab")
        inputs = [TensorSpec(name=name, dtype="float32", shape=("rows", 1)) for name in "ba"]
        prepared = Tabular().bind(model_of(columns, columns=True), inputs, Path()).prepare({"a": np.ones(1), "b": np.zeros(1)})
        assert (prepared["a"].item(), prepared["b"].item()) == (1, 0)

    def test_its_file_is_the_default(self) -> None:
        assert built("processor", "tabular") == Tabular()
