"""The root of the mean squared error."""

import math

import numpy as np

from fdpipe.metric.rmse import Rmse
from tests.contracts.metric import Case, MetricContract
from tests.metric.cases import VALUES, valued

OFF = VALUES + np.array([1.0, -1.0, 3.0, 1.0])


class TestRmse(MetricContract):
    metric = Rmse()
    known = (
        valued(OFF, figure=math.sqrt(3)),
        valued(OFF[:, None].astype(np.float32), figure=math.sqrt(3)),
        valued(OFF, VALUES[:, None].astype(int), figure=math.sqrt(3)),
        valued(OFF.reshape(2, 2), VALUES.reshape(2, 2), figure=math.sqrt(3)),
        Case(answers={"y": OFF}, labels=VALUES, figure=math.sqrt(3)),
    )
    without = (valued(np.ones((4, 3))),)
    perfect = valued(VALUES)
    worse = valued(OFF)
