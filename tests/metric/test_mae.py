"""The mean absolute error."""

import numpy as np

from fdpipe.metric.mae import Mae
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import VALUES, valued

OFF = VALUES + np.array([1.0, -1.0, 3.0, 1.0])


class TestMae(MetricContract):
    metric = Mae()
    known = (
        Case(answers={"value": OFF}, labels=VALUES, figure=1.5),
        Case(answers={"y": OFF[:, None].astype(np.float32)}, labels=VALUES.astype(int), figure=1.5),
        Case(answers={"value": OFF.reshape(2, 2)}, labels=VALUES.reshape(2, 2), figure=1.5),
    )
    without = (valued(np.ones((4, 3))),)
    perfect = Case(answers={"value": VALUES}, labels=VALUES, figure=0)
    worse = Case(answers={"value": OFF}, labels=VALUES, figure=1.5)


def test_a_row_of_several_values_has_their_mean() -> None:
    assert Mae().of_rows({"value": OFF.reshape(2, 2)}, VALUES.reshape(2, 2)).tolist() == [1.0, 2.0]
