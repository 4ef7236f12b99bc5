"""The rows that both are asked: what stands in them, and what stays as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import ModelRef, SourceModel, TensorSpec
from fdpipe.stages import cases
from fdpipe.stages.cases import Question, questions


def model_of(**dtypes: str) -> SourceModel:
    ref = ModelRef(name="tiny", version="1", uri="models:/tiny/1", digest="0" * 64)
    inputs = tuple(TensorSpec(name=name, dtype=dtype, shape=("rows",)) for name, dtype in dtypes.items())
    return SourceModel(
        ref=ref, flavour="fake", serialization="fake", inputs=inputs, outputs=(), columns=True, path=Path(), digest="0" * 64
    )


PEOPLE = {
    "age": np.array([30.5, np.nan, 71.25]),
    "children": np.array([0, 3, 1]),
    "town": np.array(["Ulm", "", "Köln"]),
    "member": np.array([True, False, True]),
}
TYPES = {"age": "float64", "children": "int64", "town": "string", "member": "bool"}
COLUMNS = tuple(TensorSpec(name=name, dtype=dtype, shape=("rows", 1)) for name, dtype in TYPES.items())


def asked(features: Batch, model: SourceModel, inputs: tuple[TensorSpec, ...]) -> dict[str, Question]:
    return {question.name: question for question in questions(features, model, inputs)}


@pytest.fixture
def people() -> dict[str, Question]:
    return asked(PEOPLE, model_of(**TYPES), COLUMNS)


def test_the_data_comes_first_in_every_size(people: dict[str, Question]) -> None:
    assert list(people) == ["evaluation", "alone", "many", "empty", "missing", "extreme", "unseen"]
    sizes = {name: rows_in(people[name].rows) for name in ("evaluation", "alone", "many", "empty")}
    assert sizes == {"evaluation": 3, "alone": 1, "many": 1024, "empty": 0}
    assert people["many"].at_once == 1024
    assert not any(people[name].made for name in sizes)
    assert people["many"].rows["town"][:5].tolist() == ["Ulm", "", "Köln", "Ulm", ""]


def test_each_float_is_missing_once_and_each_text_empty(people: dict[str, Question]) -> None:
    ages, towns = people["missing"].blocks
    assert np.isnan(ages["age"]).all()
    assert ages["town"].tolist() == ["", "Köln"]  # the two rows that the seed chooses
    assert towns["town"].tolist() == ["", ""]
    assert towns["age"][1] == 71.25


def test_a_column_of_floats_that_holds_whole_numbers_can_be_missing() -> None:
    found = asked({"x": np.array([1, 2])}, model_of(x="float64"), ())["missing"].rows["x"]
    assert found.dtype == np.float64
    assert np.isnan(found).all()


def test_extreme_numbers(people: dict[str, Question]) -> None:
    ages, children, members, together = people["extreme"].blocks
    assert sorted(set(ages["age"])) == [-712.5, 0, 30.5, 71.25, 712.5]
    assert ages["town"].tolist() == ["", "Köln"] * 5
    assert sorted(set(children["children"])) == [-30, 0, 3, 30]
    assert children["children"].dtype == np.int64
    assert set(members["member"]) == {True, False}
    assert members["member"].dtype == bool
    assert together["age"].tolist()[2:] == [30.5, 71.25, -712.5, 712.5, 0]
    assert together["children"].tolist()[2:] == [0, 3, -30, 30, 0]


def test_extremes_fit_the_type() -> None:
    features: Batch = {
        "small": np.array([100, 200], np.uint8),
        "large": np.array([1e38, -3e38], np.float32),
        "half": np.ones(2, np.float16) * 60000,
    }
    rows = asked(features, model_of(small="uint8", large="float32", half="float16"), ())["extreme"].rows
    assert (rows["small"].min(), rows["small"].max()) == (0, 255)
    assert np.isfinite(rows["large"]).all()
    assert np.isfinite(rows["half"]).all()


def test_extremes_are_numbers_that_float32_holds() -> None:
    extreme = asked({"x": np.array([0.1, 0.3])}, model_of(x="float64"), ())["extreme"].blocks[0]["x"]
    assert (extreme == extreme.astype(np.float32)).all()


def test_an_unseen_category_is_one_that_no_row_has(people: dict[str, Question]) -> None:
    assert people["unseen"].rows["town"].tolist() == [cases.UNSEEN] * 2
    features = {**PEOPLE, "town": np.array(["Ulm", cases.UNSEEN, ""])}
    assert asked(features, model_of(**TYPES), COLUMNS)["unseen"].rows["town"][0] == cases.UNSEEN + "!"


def test_texts_that_the_graph_gets_as_tokens_are_as_long_as_can_be() -> None:
    ids = (TensorSpec(name="ids", dtype="int64", shape=("rows", "sequence")),)
    found = asked({"text": np.array(["one two", "three"])}, model_of(text="string"), ids)
    long, empty = found["longest"].rows["text"]
    assert (len(long.split()), empty) == (cases.WORDS, "")
    assert found["many"].at_once == cases.MANY_LARGE
    assert "extreme" not in found


def test_the_elements_of_a_small_tensor_are_cells_and_a_large_one_is_one() -> None:
    small = asked({"x": np.ones((4, 2, 3), np.float32)}, model_of(x="float32"), ())
    assert len(small["missing"].blocks) == 6
    assert np.isnan(small["missing"].blocks[0]["x"]).sum() == 2  # in each of the two rows, one
    large = asked({"x": np.ones((4, 20, 20), np.float32)}, model_of(x="float32"), ())
    (block,) = large["missing"].blocks
    assert np.isnan(block["x"]).all()


def test_ids_and_masks_have_no_beyond() -> None:
    specs = tuple(TensorSpec(name=name, dtype="int64", shape=("rows", "sequence")) for name in ("ids", "mask"))
    model = replace(model_of(), inputs=specs)
    assert "extreme" not in asked({name: np.ones((3, 5), np.int64) for name in ("ids", "mask")}, model, specs)


def test_many_columns_are_changed_in_part() -> None:
    names = [f"c{number}" for number in range(400)]
    found = asked({name: np.ones(3) for name in names}, model_of(**dict.fromkeys(names, "float64")), ())
    assert len(found["missing"].blocks) == cases.MOST_CELLS


def test_rows_moved_by_rounding_stay_close_and_whole_numbers_stay() -> None:
    moved = cases.moved(PEOPLE, seed=3)
    assert moved["children"] is PEOPLE["children"]
    assert 0 < abs(moved["age"][0] / 30.5 - 1) < 1e-5
    assert np.isnan(moved["age"][1])
    np.testing.assert_array_equal(moved["age"], cases.moved(PEOPLE, seed=3)["age"])
