"""One real request to the service, as a line for the shell, and what the service must answer to it."""

import json
import shlex
from typing import Any

import numpy as np

from fdpipe.arrays import load_arrays
from fdpipe.artifacts import GOLDEN_ANSWER, GOLDEN_INPUT, Release


def curl(release: Release, url: str) -> str:
    """A line to paste: it asks the release's first golden request, which is a row of the evaluation data."""
    body = json.dumps({"inputs": _first_row(release, GOLDEN_INPUT)}, allow_nan=False, separators=(",", ":"))
    return f"curl -sS {url}/predict -H 'content-type: application/json' -d {shlex.quote(body)}"


def expected(release: Release) -> dict[str, Any]:
    """The known answers to that request."""
    return _first_row(release, GOLDEN_ANSWER)


def _first_row(release: Release, prefix: str) -> dict[str, Any]:
    arrays = load_arrays(release.golden)
    return {name.removeprefix(prefix): _listed(array[:1]) for name, array in arrays.items() if name.startswith(prefix)}


def _listed(array: np.ndarray) -> Any:  # noqa: ANN401 - nested lists
    """Nested lists, a missing number as null; a float32 in the few digits that say it."""
    if array.dtype.kind != "f":
        return array.tolist()
    texts = np.vectorize(lambda number: None if np.isnan(number) else float(str(number)), otypes=[object])(array)
    return texts.tolist()
