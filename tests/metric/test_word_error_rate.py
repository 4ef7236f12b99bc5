"""The word error rate."""

import numpy as np
import pytest

from fdpipe.metric.word_error_rate import WordErrorRate
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import FOUND, NO_TEXTS, RIGHT, texts

pytest.importorskip("rapidfuzz", reason="needs the extra `text`")

# One word is another, and one is put in; there are seven.
RATE = 2 / 7


class TestWordErrorRate(MetricContract):
    metric = WordErrorRate()
    known = (
        *texts(RATE),
        Case(answers={"text": np.array(["a b c d"])}, labels=np.array(["a"]), figure=3.0),
    )
    without = NO_TEXTS
    perfect = Case(answers={"text": RIGHT}, labels=RIGHT, figure=0.0)
    worse = Case(answers={"text": FOUND}, labels=RIGHT, figure=RATE)


def test_capitals_count_unless_they_do_not() -> None:
    answers = {"text": np.array(["The cat sat", "on the mat", "Ö"])}
    assert WordErrorRate().score(answers, RIGHT) == pytest.approx(2 / 7)
    assert WordErrorRate(ignore_case=True).score(answers, RIGHT) == 0.0
