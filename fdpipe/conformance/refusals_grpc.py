"""Checks that what is wrong over gRPC is refused with the caller's own status and one line, without a stack trace."""

from collections.abc import Callable
from typing import Any

import grpc

from fdpipe import open_inference
from fdpipe.conformance.check import Check
from fdpipe.conformance.compare import unlike
from fdpipe.conformance.refusals import TRACE
from fdpipe.conformance.remote import Remote
from fdpipe.conformance.result import Kind, Violation
from fdpipe.conformance.subject import Subject

CALLERS_FAULT = frozenset(
    (
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.UNIMPLEMENTED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    )
)
"""What says that the request is wrong, and not that the service is."""

Spoil = Callable[[Any], None]
"""Makes a good request wrong."""


def _unknown_model(request: Any) -> None:  # noqa: ANN401 - of protobuf
    request.model_name = "no-model-has-this-name"


def _missing_input(request: Any) -> None:  # noqa: ANN401 - of protobuf
    del request.inputs[0], request.raw_input_contents[0]


def _unknown_input(request: Any) -> None:  # noqa: ANN401 - of protobuf
    request.inputs[0].name = "no-input-has-this-name"


def _another_datatype(request: Any) -> None:  # noqa: ANN401 - of protobuf
    request.inputs[0].datatype = "FP32" if request.inputs[0].datatype == "BYTES" else "BYTES"


def _bytes_cut_off(request: Any) -> None:  # noqa: ANN401 - of protobuf
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]


def _negative_shape(request: Any) -> None:  # noqa: ANN401 - of protobuf
    request.inputs[0].shape[:] = [-axis for axis in request.inputs[0].shape]


def _no_contents(request: Any) -> None:  # noqa: ANN401 - of protobuf
    del request.raw_input_contents[:]


def _look(spoil: Spoil) -> Callable[[Subject], str]:
    def look(subject: Subject) -> str:
        remote = subject.over_grpc()
        request = open_inference.message("ModelInferRequest").FromString(remote.request(subject.singles()[0]))
        spoil(request)
        return refused(remote, request.SerializeToString())

    return look


def refused(remote: Remote, message: bytes) -> str:
    """The refusal's text; `Violation` where the message is answered, or not refused as it should be."""
    try:
        remote.send("ModelInfer", message)
    except grpc.RpcError as error:
        code, text = error.code(), error.details() or ""
        if trace := TRACE.search(text):
            raise Violation(f"status {code.name} with a stack trace: {trace[0].strip()!r}") from error
        if code not in CALLERS_FAULT:
            raise Violation(f"status {code.name}, which is not that of a wrong request: {text[:150]!r}") from error
        if len(text.strip().splitlines()) != 1:
            raise Violation(f"status {code.name} with details that are no single line: {text[:150]!r}") from error
        return f"{code.name} {text}"
    raise Violation("the request was answered")


def still_answers(subject: Subject) -> str:
    """After all that was refused."""
    remote = subject.over_grpc()
    for number, row in enumerate(subject.singles()):
        if fault := unlike(remote.ask(row), subject.alone[number]):
            raise Violation(f"row {number}, after what was refused: {fault}")
    return "as before"


_LOOKS: tuple[tuple[str, str, Callable[[Subject], str]], ...] = (
    ("unknown-model-grpc", "A model that is not there is refused over gRPC.", _look(_unknown_model)),
    ("missing-input-grpc", "A request without one of the inputs is refused over gRPC.", _look(_missing_input)),
    ("unknown-input-grpc", "An input that the model does not have is refused over gRPC.", _look(_unknown_input)),
    ("wrong-datatype-grpc", "An input of another datatype is refused over gRPC.", _look(_another_datatype)),
    ("bytes-cut-off-grpc", "Raw contents that end too early are refused over gRPC.", _look(_bytes_cut_off)),
    ("negative-shape-grpc", "A shape with negative axes is refused over gRPC.", _look(_negative_shape)),
    ("no-contents-grpc", "An input without contents is refused over gRPC.", _look(_no_contents)),
    ("still-answers-grpc", "After all that was refused, rows are answered over gRPC as before.", still_answers),
)

CHECKS = tuple(Check(name=name, kind=Kind.REFUSAL, shows=shows, look=look) for name, shows, look in _LOOKS)
