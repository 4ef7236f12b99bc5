"""The character error rate."""

import math

import numpy as np
import pytest

from fdpipe.metric.character_error_rate import CharacterErrorRate
from tests.contracts.metric import Case, MetricContract
from tests.contracts.settings import built

pytest.importorskip("rapidfuzz", reason="needs the extra `text`")

RIGHT = np.array(["the cat sat", "on the mat", "ö"])
FOUND = np.array(["the bat sat", " on the big mat ", "ö"], object)
# One letter is another, and " big" is put in; there are 11, 10 and 1.
RATE = 5 / 22


class TestCharacterErrorRate(MetricContract):
    @pytest.fixture
    def metric(self) -> CharacterErrorRate:
        return CharacterErrorRate()

    @pytest.fixture(
        params=[
            Case(answers={"text": FOUND}, labels=RIGHT, figure=RATE),
            Case(answers={"label": FOUND[:, None], "language": FOUND}, labels=RIGHT[:, None], figure=RATE),
            Case(answers={"said": FOUND.astype(str), "score": np.ones(3)}, labels=RIGHT.astype(object), figure=RATE),
            Case(answers={"text": np.array(["abcd"])}, labels=np.array([" b "]), figure=3.0),
        ]
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        found: Case = request.param
        return found

    @pytest.fixture
    def perfect(self) -> Case:
        return Case(answers={"text": RIGHT}, labels=RIGHT, figure=0.0)

    @pytest.fixture
    def worse(self) -> Case:
        return Case(answers={"text": FOUND}, labels=RIGHT, figure=RATE)


def test_its_file_builds() -> None:
    assert built("metric", "character_error_rate") == CharacterErrorRate()


def test_capitals_count_unless_they_do_not() -> None:
    answers = {"text": np.array(["The cat sat", "on the mat", "Ö"])}
    assert CharacterErrorRate().score(answers, RIGHT) == pytest.approx(2 / 22)
    assert CharacterErrorRate(ignore_case=True).score(answers, RIGHT) == 0.0


@pytest.mark.parametrize(
    ("answers", "labels"),
    [
        ({"text": RIGHT}, np.array(["", " ", ""])),
        ({"text": RIGHT}, np.arange(3)),
        ({"text": np.array([b"a", None, "c"], object)}, RIGHT),
        ({"one": RIGHT, "other": RIGHT}, RIGHT),
        ({"text": np.stack([RIGHT, RIGHT], 1)}, RIGHT),
    ],
)
def test_what_is_no_text_has_no_figure(answers: dict[str, np.ndarray], labels: np.ndarray) -> None:
    assert math.isnan(CharacterErrorRate().score(answers, labels))
