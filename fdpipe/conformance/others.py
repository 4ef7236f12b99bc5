"""Checks of the other protocols that a service may speak on the same model: each answers the same rows, and refuses alike."""

from collections.abc import Mapping
from typing import Any

import msgspec
import numpy as np

from fdpipe.arrays import Batch, rows_in
from fdpipe.conformance.check import Check
from fdpipe.conformance.compare import is_same, short, unlike
from fdpipe.conformance.refusals import well_formed
from fdpipe.conformance.rest import Post
from fdpipe.conformance.result import Kind, NotShown, Violation
from fdpipe.conformance.rows import Rows
from fdpipe.conformance.subject import Subject

_NOT_ALLOWED = 405
"""What a path gives to GET that takes POST."""


def kserve_v1(subject: Subject) -> str:
    """KServe's V1: instances, and predictions."""
    rest = subject.over_rest()
    inputs, wanted = _asked(subject)
    path = f"/v1/models/{rest.model}"
    status = subject.client.get(path).status_code
    if status != 200:
        raise NotShown(f"GET {path} gives {status}")
    _refuses(subject, f"{path}:predict")
    return _predictions(subject, f"{path}:predict", {"instances": _instances(inputs)}, wanted)


def invocations(subject: Subject) -> str:
    """MLflow's: the columns by name."""
    inputs, wanted = _asked(subject)
    _require_path(subject, "/invocations")
    _refuses(subject, "/invocations", key="message")
    value = {name: _listed(array) for name, array in inputs.items()}
    return _predictions(subject, "/invocations", {"inputs": value if len(value) > 1 else next(iter(value.values()))}, wanted)


def bentoml(subject: Subject) -> str:
    """BentoML's own, of the handler that our releases have."""
    inputs, wanted = _asked(subject)
    _require_path(subject, "/predict")
    _refuses(subject, "/predict")
    pickled = Post(path="/predict", body=b"\x80\x04N.", headers={"content-type": "application/vnd.bentoml+pickle"})
    well_formed(subject.over_rest().send(pickled))
    value = _sent(subject, "/predict", {"inputs": {name: _listed(array) for name, array in inputs.items()}})
    if not isinstance(value, dict):
        raise Violation(f"the reply is no JSON object: {str(value)[:100]}")
    found = {name: _like(value[name], wanted[name]) for name in wanted if name in value}
    if fault := unlike(found, wanted):
        raise Violation(fault)
    return f"{rows_in(inputs)} rows, answered as over V2"


def _asked(subject: Subject) -> tuple[Batch, Batch]:
    """All rows and their answers; where an answer depends on the rows beside it, the first row."""
    subject.over_rest()
    if isinstance(subject.rows, Rows) and subject.rows.together:
        return subject.singles()[0], subject.alone[0]
    return subject.inputs(), subject.answers_by_row()


def _require_path(subject: Subject, path: str) -> None:
    status = subject.client.get(path).status_code
    if status != _NOT_ALLOWED:
        raise NotShown(f"GET {path} gives {status}, a path that takes POST gives {_NOT_ALLOWED}")


def _refuses(subject: Subject, path: str, key: str = "error") -> None:
    """In the protocol's own form."""
    well_formed(subject.over_rest().send(Post(path=path, body=b'{"inputs": [')), key=key)


def _sent(subject: Subject, path: str, value: object) -> Any:  # noqa: ANN401 - JSON
    response = subject.over_rest().send(Post(path=path, body=msgspec.json.encode(value)))
    if response.status_code != 200:
        raise Violation(f"POST {path} gives {response.status_code}: {response.text[:200]}")
    try:
        return response.json()
    except ValueError as error:
        raise Violation(f"POST {path} gives no JSON: {response.text[:100]!r}") from error


def _predictions(subject: Subject, path: str, value: object, wanted: Batch) -> str:
    """They are one of the answers, or all by name; where they are something else, only their number can be seen."""
    reply = _sent(subject, path, value)
    if not isinstance(reply, dict) or "predictions" not in reply:
        raise Violation(f"POST {path} gives no predictions: {str(reply)[:100]}")
    found = reply["predictions"]
    if isinstance(found, list) and found and all(isinstance(one, Mapping) for one in found):
        found = {name: [one.get(name) for one in found] for name in found[0]}
    columns: Mapping[str, Any] = found if isinstance(found, Mapping) else {"": found}
    rows, same = rows_in(wanted), []
    for name, column in columns.items():
        if not isinstance(column, list) or len(column) != rows:
            raise Violation(f"there is not one prediction for each of {rows} rows: {str(column)[:100]}")
        candidates = {name: wanted[name]} if name in wanted else {} if name else wanted
        matching = [one for one, array in candidates.items() if is_same(_like(column, array), array)]
        same += matching
        if candidates and not matching:
            told = ", ".join(f"{one} {short(array)}" for one, array in candidates.items())
            raise Violation(f"the predictions are {str(column)[:100]}, over V2 the answers are {told}")
    return f"{rows} rows, answered as over V2 ({', '.join(dict.fromkeys(same)) or 'in number only'})"


def _like(values: object, wanted: np.ndarray) -> np.ndarray:
    """As an array of this shape and dtype, where it is one; else as it is."""
    try:
        array = np.asarray(values, dtype=wanted.dtype)
    except (ValueError, TypeError):
        return np.asarray(values, dtype=object)
    return array.reshape(wanted.shape) if array.size == wanted.size else array


def _instances(inputs: Batch) -> list[Any]:
    columns = {name: _listed(array) for name, array in inputs.items()}
    if len(columns) == 1:
        return list(next(iter(columns.values())))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _listed(array: np.ndarray) -> list[Any]:
    """A missing number, which JSON has no word for, is null."""
    if array.dtype.kind != "f":
        return list(array.tolist())
    values = array.astype(object)
    values[np.isnan(array)] = None
    return list(values.tolist())


CHECKS = tuple(
    Check(name=name, kind=Kind.PROTOCOL, shows=shows, look=look)
    for name, shows, look in (
        ("kserve-v1", "KServe's V1 protocol answers the same rows, and refuses a broken body in one line.", kserve_v1),
        ("invocations", "MLflow's /invocations answers the same rows, and refuses a broken body in one line.", invocations),
        (
            "bentoml",
            "BentoML's typed API at /predict answers the same rows, and refuses a broken or a pickled body in one line.",
            bentoml,
        ),
    )
)
