"""XGBoost's own C function for rows in memory: `inplace_predict` without the 50 µs that its Python spends on each call.

https://xgboost.readthedocs.io/en/stable/c.html, XGBoosterPredictFromDense. Its answers lie in memory of the calling thread.
"""

import ctypes
import json
from collections.abc import Callable
from typing import Any

import numpy as np

VALUE, MARGIN = 0, 1
"""The function's own numbers for what it predicts."""


def asking(booster: Any, used: tuple[int, int], predicted: int) -> Callable[[np.ndarray], np.ndarray]:  # noqa: ANN401
    """The booster's predictions for rows of shape (rows, features), one after the other in memory, from these iterations of
    its trees; any number of threads may ask. `XGBoostError` for rows that it does not take."""
    from xgboost import core

    function, check = core._LIB.XGBoosterPredictFromDense, core._check_call
    settings = {
        "type": predicted, "training": False, "iteration_begin": used[0], "iteration_end": used[1], "missing": np.nan,
        "strict_shape": False, "cache_id": 0,
    }  # fmt: skip
    how = json.dumps(settings).encode()

    def ask(rows: np.ndarray) -> np.ndarray:
        described = b'{"data":[%d,true],"shape":[%d,%d],"typestr":"%s","version":3}' % (
            rows.ctypes.data, *rows.shape, rows.dtype.str.encode(),
        )  # fmt: skip
        axes, shape, found = ctypes.c_uint64(), ctypes.POINTER(ctypes.c_uint64)(), ctypes.POINTER(ctypes.c_float)()
        # the booster is asked for its handle each time, and so lives as long as this function
        check(function(booster.handle, described, how, None, ctypes.byref(shape), ctypes.byref(axes), ctypes.byref(found)))
        return np.ctypeslib.as_array(found, tuple(shape[: axes.value])).copy()

    return ask
