"""Checks of the Open Inference Protocol's forms: each answers, and all answer the same."""

import numpy as np

from fdpipe.arrays import Batch, take
from fdpipe.conformance.check import Check
from fdpipe.conformance.compare import unlike
from fdpipe.conformance.model import Model
from fdpipe.conformance.rest import Form, Rest
from fdpipe.conformance.result import Kind, NotShown, Violation
from fdpipe.conformance.rows import Rows
from fdpipe.conformance.subject import Subject

BINARY = "binary_tensor_data"
_ID = "fdpipe-conformance-1"


def in_json(subject: Subject) -> str:
    """Each row, and all rows at once."""
    rest = subject.over_rest()
    _answer(subject, rest, subject.inputs())
    singles = subject.singles()
    for row in singles:
        _answer(subject, rest, row)
    rows = subject.rows.told if isinstance(subject.rows, Rows) else ""
    return f"{len(singles)} requests of one row, one of all ({rows})"


def _answer(subject: Subject, rest: Rest, inputs: Batch) -> dict[str, np.ndarray]:
    try:
        return rest.ask(inputs)
    except Violation as error:
        halves = _halves(subject)
        if halves:
            raise NotShown(f"{halves} is FP16, which the protocol's JSON need not carry: {error}") from error
        if isinstance(subject.rows, Rows) and not subject.place.golden:
            raise Violation(f"{error} (the rows were {subject.rows.told}: give real ones with --golden FILE)") from error
        raise


def _halves(subject: Subject) -> str:
    """The first tensor that is FP16; empty where there is none."""
    if not isinstance(subject.model, Model):
        return ""
    tensors = (*subject.model.inputs, *subject.model.outputs)
    return next((one.name for one in tensors if one.datatype in ("FP16", "BF16")), "")


def known_answers(subject: Subject) -> str:
    """Those of the golden file."""
    subject.inputs()
    if not isinstance(subject.rows, Rows) or not subject.rows.known:
        raise NotShown("no right answers are known: give them with --golden FILE")
    for number, answers in enumerate(subject.alone):
        if fault := unlike(answers, take(subject.rows.known, slice(number, number + 1))):
            raise Violation(f"row {number}: {fault}")
    return f"{len(subject.alone)} rows"


def in_binary(subject: Subject) -> str:
    """The extension of binary tensors."""
    rest = subject.over_rest()
    for number, row in enumerate(subject.singles()):
        try:
            found = rest.ask(row, Form.BINARY)
        except Violation as error:
            if not _announces_binary(subject):
                raise NotShown(f"it does not announce the extension {BINARY}, and does not take it: {error}") from error
            raise
        if not _same_or_unknown(subject, number, found):
            raise Violation(f"row {number} is answered otherwise than in JSON: {unlike(found, subject.alone[number])}")
    return "answered as in JSON"


def _announces_binary(subject: Subject) -> bool:
    try:
        told = subject.client.get("/v2").json()
    except ValueError:
        return False
    return isinstance(told, dict) and BINARY in (told.get("extensions") or ())


def _same_or_unknown(subject: Subject, number: int, found: Batch) -> bool:
    """Where JSON has no answer, its own check says so."""
    try:
        return not unlike(found, subject.alone[number])
    except NotShown:
        return True


def over_grpc(subject: Subject) -> str:
    """With the tensors as bytes."""
    return _over_grpc(subject, typed=False)


def over_grpc_typed(subject: Subject) -> str:
    """With the tensors in typed fields."""
    return _over_grpc(subject, typed=True)


def _over_grpc(subject: Subject, *, typed: bool) -> str:
    remote = subject.over_grpc()
    for number, row in enumerate(subject.singles()):
        if typed and any(array.dtype.kind == "f" and np.isnan(array).any() for array in row.values()):
            continue
        found = remote.ask(row, typed=typed)
        if not _same_or_unknown(subject, number, found):
            raise Violation(f"row {number} is answered otherwise than over REST: {unlike(found, subject.alone[number])}")
    return f"answered at {remote.address}" + ("" if isinstance(subject.rest, str) else " as over REST")


def identity(subject: Subject) -> str:
    """The request's id."""
    rest = subject.over_rest()
    subject.alone  # noqa: B018 - not shown where the request has no answer even without an id
    response = rest.send(rest.post(subject.singles()[0], more={"id": _ID}))
    rest.answers(response)
    told = response.json().get("id")
    if told != _ID:
        raise Violation(f"the id {_ID!r} was sent, the reply has {told!r}")
    return "the reply has the request's id"


def chosen_outputs(subject: Subject) -> str:
    """One of several outputs."""
    rest = subject.over_rest()
    names = list(subject.alone[0])
    if len(names) < 2:
        raise NotShown("the model has only one output")
    for name in names:
        found = rest.answers(rest.send(rest.post(subject.singles()[0], more={"outputs": [{"name": name}]})))
        if list(found) != [name]:
            raise Violation(f"only {name} was asked for, the reply has {', '.join(found)}")
        if fault := unlike(found, {name: subject.alone[0][name]}):
            raise Violation(f"asked for by itself, {fault}")
    return ", ".join(names)


CHECKS = tuple(
    Check(name=name, kind=Kind.PROTOCOL, shows=shows, look=look)
    for name, shows, look in (
        ("infer-json", "A request in JSON is answered, with one row and with several.", in_json),
        ("infer-golden", "The answers are those that are known to be right.", known_answers),
        ("infer-binary", "A request with binary tensors is answered, with the answer as bytes, as in JSON.", in_binary),
        ("infer-grpc", "A request over gRPC with raw contents is answered as over REST.", over_grpc),
        ("infer-grpc-typed", "A request over gRPC with typed contents is answered as over REST.", over_grpc_typed),
        ("id-returned", "A reply has the id of its request.", identity),
        ("outputs-chosen", "Only the outputs that are asked for are sent.", chosen_outputs),
    )
)
