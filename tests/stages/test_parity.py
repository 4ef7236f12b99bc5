"""The comparison: what is a difference, and what is not; the certificate."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from fdpipe.artifacts import Case, Precision, Task
from fdpipe.content import file_digest
from fdpipe.plan import Tolerance
from fdpipe.stages.parity import Comparison, certify, compare

Answers = Mapping[str, np.ndarray]


def values(*numbers: float) -> Answers:
    return {"value": np.array(numbers, np.float32).reshape(-1, 1)}


def classes(labels: list[int], *probabilities: tuple[float, float]) -> Answers:
    return {"label": np.array(labels), "probabilities": np.array(probabilities, np.float32)}


def tensors(*rows: list[float]) -> Answers:
    return {"embedding": np.array(rows, np.float32)}


def compared(task: Task, original: Answers, exported: Answers, **changes: float) -> Comparison:
    return compare("here", task, original, exported, Tolerance(**changes))  # type: ignore[arg-type]


class TestValues:
    def test_they_are_compared_relatively(self) -> None:
        case = compared(Task.REGRESSION, values(1000, 2000), values(1000.05, 2000)).case
        assert case.largest_difference == pytest.approx(5e-5, rel=0.01)
        assert (case.worst_row, case.cosine) == (0, None)

    @pytest.mark.parametrize("other", [1000.2, np.nan, np.inf])
    def test_too_far(self, other: float) -> None:
        found = compared(Task.REGRESSION, values(1, 1000), values(1, other))
        assert "row 1: original value [1000.]; export value" in found.difference
        assert found.rows == (1,)
        assert "\n" not in found.difference

    def test_close_to_zero_rounding_is_not_held_against_it(self) -> None:
        found = compared(Task.REGRESSION, values(1e-9, 100), values(2e-9, 100))
        assert not found.difference
        assert found.case.largest_difference < 1e-9

    def test_missing_values_on_both_sides_are_the_same(self) -> None:
        assert not compared(Task.REGRESSION, values(np.nan, np.inf, 1), values(np.nan, np.inf, 1)).difference

    def test_all_zeros(self) -> None:
        assert compared(Task.REGRESSION, values(0, 0), values(0, 0)).case.largest_difference == 0

    def test_quantiles_are_of_the_rows(self) -> None:
        case = compared(Task.REGRESSION, values(*[100.0] * 100), values(*[100.0] * 95, *[100.001] * 5)).case
        assert case.quantiles["p50"] == case.quantiles["p90"] == 0
        assert case.quantiles["p99"] == pytest.approx(1e-5, rel=0.1)

    def test_the_worst_rows_come_first(self) -> None:
        found = compared(Task.REGRESSION, values(*[100.0] * 20), values(*[100.0] * 9, *np.arange(101.0, 112)))
        assert found.rows == (19, 18, 17, 16, 15, 14, 13, 12)


class TestClasses:
    def test_another_label(self) -> None:
        found = compared(Task.CLASSIFICATION, classes([0, 1], (0.9, 0.1), (0.2, 0.8)), classes([0, 0], (0.9, 0.1), (0.2, 0.8)))
        assert found.difference.startswith("1 of 2 rows have another label, 0 are allowed; row 1: original label 1,")
        assert found.case.flips == 1

    def test_probabilities_are_compared_absolutely(self) -> None:
        ours = classes([1], (1e-6, 1 - 1e-6))
        assert not compared(Task.CLASSIFICATION, ours, classes([1], (5e-6, 1 - 5e-6))).difference
        found = compared(Task.CLASSIFICATION, ours, classes([1], (5e-5, 1 - 5e-5)))
        assert found.difference.startswith("the largest difference is 4.9e-05, 1e-05 is allowed")

    def test_a_tie_counts_on_the_rows_of_the_data_only(self) -> None:
        ours, theirs = classes([0], (0.5, 0.5)), classes([1], (0.4999999, 0.5000001))
        assert compared(Task.CLASSIFICATION, ours, theirs).difference
        assert not compare("made", Task.CLASSIFICATION, ours, theirs, Tolerance(), ties_count=False).difference
        clear = classes([0], (0.6, 0.4))
        assert compare("made", Task.CLASSIFICATION, clear, theirs, Tolerance(), ties_count=False).difference

    def test_without_probabilities_there_is_no_tie(self) -> None:
        ours, theirs = {"label": np.array(["a"])}, {"label": np.array(["b"])}
        assert compare("made", Task.CLASSIFICATION, ours, theirs, Tolerance(), ties_count=False).case.flips == 1

    def test_more_is_allowed_where_the_plan_says_so(self) -> None:
        ours, theirs = classes([0, 1], (0.9, 0.1), (0.2, 0.8)), classes([0, 0], (0.9, 0.1), (0.25, 0.75))
        assert not compared(Task.CLASSIFICATION, ours, theirs, flips=1, probabilities=0.1).difference


class TestTensors:
    def test_they_are_compared_by_their_cosine(self) -> None:
        found = compared(Task.TENSORS, tensors([1, 0, 0], [0, 1, 0]), tensors([1, 0.001, 0], [0, 1, 0]))
        assert not found.difference
        assert found.case.cosine == pytest.approx(1 - 5e-7)
        assert found.case.largest_difference > 1e-4  # shown, and not what they are judged by

    def test_another_direction_or_length_is_too_far(self) -> None:
        ours = tensors([1, 0], [0, 1])
        assert (
            "smallest cosine is 0, 0.9999 is allowed; row 1" in compared(Task.TENSORS, ours, tensors([1, 0], [1, 0])).difference
        )
        assert compared(Task.TENSORS, ours, tensors([1, 0], [0, 2])).rows == (1,)

    @pytest.mark.parametrize("broken", [np.nan, np.inf])
    def test_what_is_missing_or_infinite_must_be_so_in_both(self, broken: float) -> None:
        assert not compared(Task.TENSORS, tensors([1, broken]), tensors([1, broken])).difference
        assert compared(Task.TENSORS, tensors([1, broken]), tensors([1, 1])).case.cosine == -1

    def test_two_that_are_zero_are_alike_and_rounding_close_to_it_is_none(self) -> None:
        assert compared(Task.TENSORS, tensors([0, 0], [0, 0]), tensors([0, 0], [0, 0])).case.cosine == 1
        assert not compared(Task.TENSORS, tensors([0, 0], [3, 4]), tensors([1e-8, 0], [3, 4])).difference

    def test_one_figure_a_row_has_no_direction(self) -> None:
        ours, theirs = {"score": np.array([1.0, 2.0])}, {"score": np.array([1.0, 2.001])}
        assert compared(Task.TENSORS, ours, theirs).difference.startswith("the largest relative difference is 0.0005")
        together = {**ours, **tensors([1, 0], [0, 1])}
        assert compared(Task.TENSORS, together, {**together, **theirs}).rows == (1,)

    def test_whole_numbers_and_texts_are_the_same_or_not(self) -> None:
        ours = {"index": np.array([[1, 2], [3, 4]])}
        found = compared(Task.TENSORS, ours, {"index": np.array([[1, 2], [3, 5]])})
        assert found.difference.startswith("1 of 2 rows have another answer, 0 are allowed; row 1: original index [3, 4]")


class TestRounding:
    """Rows so far off that the original's own rounding may show."""

    def test_a_row_that_moves_as_far_is_excused(self) -> None:
        ours, theirs, moved = values(100, 1), values(100, 1.1), values(100, 1.2)
        assert compare("far", Task.REGRESSION, ours, theirs, Tolerance()).rows == (1,)
        found = compare("far", Task.REGRESSION, ours, theirs, Tolerance(), moved=[ours, moved])
        assert (found.difference, found.case.excused, found.case.largest_difference) == ("", 1, 0)

    def test_one_that_moves_less_is_not(self) -> None:
        ours, theirs = values(100, 1), values(100, 1.1)
        assert compare("far", Task.REGRESSION, ours, theirs, Tolerance(), moved=[values(100, 1.01)]).rows == (1,)

    def test_labels_and_tensors_likewise(self) -> None:
        one, other = classes([0], (0.9, 0.1)), classes([1], (0.1, 0.9))
        assert compare("far", Task.CLASSIFICATION, one, other, Tolerance(), moved=[other]).case.excused == 1
        assert compare("far", Task.CLASSIFICATION, one, other, Tolerance(), moved=[one]).difference
        a, b = tensors([1, 0]), tensors([0, 1])
        assert compare("far", Task.TENSORS, a, b, Tolerance(), moved=[b]).case.cosine == 1


class TestShapes:
    def test_other_names_and_shapes(self) -> None:
        found = compared(Task.REGRESSION, values(1), {"other": np.ones((1, 1))})
        assert found.difference == "the export has no answer 'value': it has other"
        found = compared(Task.REGRESSION, values(1), {"value": np.ones(1)})
        assert found.difference == "the export's value has the shape (1,), the original's (1, 1)"

    def test_other_types(self) -> None:
        found = compared(Task.REGRESSION, values(1), {"value": np.array([["1"]])})
        assert found.difference == "the export's value is <U1, the original's float32"

    def test_no_rows(self) -> None:
        none = {"value": np.empty((0, 3), np.float32)}
        assert compared(Task.REGRESSION, none, {"value": np.empty((0, 5), np.float32)}) == Comparison(
            case=Case(name="here", rows=0)
        )
        assert compared(Task.REGRESSION, none, {"value": np.empty(0, np.float32)}).difference
        assert compared(Task.REGRESSION, none, {"value": np.ones((1, 3), np.float32)}).difference


def test_the_certificate(tmp_path: Path) -> None:
    cases = (
        Case(name="evaluation", rows=200, flips=1, largest_difference=0.25, quantiles={"p50": 0.0}, worst_row=7),
        Case(name="missing", rows=0, refused="it takes none"),
    )
    parity = certify(
        tmp_path / "parity.json", cases, task=Task.CLASSIFICATION, tolerance=Tolerance(flips=1), precision=Precision.FLOAT64,
        cure="in float32 it was worse", evidence={"model": {"name": "tiny"}},
    )  # fmt: skip
    assert (parity.rows, parity.flips, parity.worst_row, parity.tolerance, parity.cases) == (200, 1, 7, 1e-5, cases)
    assert parity.path is not None
    assert parity.digest == file_digest(parity.path)
    written = json.loads(parity.path.read_text())
    assert written["model"] == {"name": "tiny"}
    assert (written["precision"], written["cure"], written["task"]) == ("float64", "in float32 it was worse", "classification")
    assert written["tolerance"] == {"flips": 1, "probabilities": 1e-5, "values": 1e-4, "cosine": 0.9999}
    assert (written["label_flip_rate"], written["largest_difference"], written["worst_row"]) == (0.005, 0.25, 7)
    assert [case["name"] for case in written["cases"]] == ["evaluation", "missing"]
    assert written["cases"][1]["refused"] == "it takes none"


@pytest.mark.parametrize("field", ["flips", "probabilities", "values"])
def test_tolerances_are_not_negative(field: str) -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        Tolerance(**{field: -1})
