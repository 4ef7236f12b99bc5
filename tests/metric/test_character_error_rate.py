"""The character error rate."""

import numpy as np
import pytest

from fdpipe.metric.character_error_rate import CharacterErrorRate
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import FOUND, NO_TEXTS, RIGHT, texts

pytest.importorskip("rapidfuzz", reason="needs the extra `text`")

# One letter is another, and " big" is put in; there are 11, 10 and 1.
RATE = 5 / 22


class TestCharacterErrorRate(MetricContract):
    metric = CharacterErrorRate()
    known = (
        *texts(RATE),
        Case(answers={"text": np.array(["abcd"])}, labels=np.array([" b "]), figure=3.0),
    )
    without = NO_TEXTS
    perfect = Case(answers={"text": RIGHT}, labels=RIGHT, figure=0.0)
    worse = Case(answers={"text": FOUND}, labels=RIGHT, figure=RATE)


def test_capitals_count_unless_they_do_not() -> None:
    answers = {"text": np.array(["The cat sat", "on the mat", "Ö"])}
    assert CharacterErrorRate().score(answers, RIGHT) == pytest.approx(2 / 22)
    assert CharacterErrorRate(ignore_case=True).score(answers, RIGHT) == 0.0
