"""Checks of what a service says of itself: its health, and its model's metadata."""

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from fdpipe import open_inference
from fdpipe.conformance import model
from fdpipe.conformance.check import Check
from fdpipe.conformance.result import Kind, NotShown, Violation
from fdpipe.conformance.subject import Subject

HEALTH = ("/v2/health/live", "/v2/health/ready")


def health(subject: Subject) -> str:
    """The server's and the model's."""
    rest = subject.over_rest()
    paths = (*HEALTH, f"/v2/models/{rest.model}/ready")
    for path in paths:
        status = subject.client.get(path).status_code
        if status != 200:
            raise Violation(f"GET {path} gives {status}, and the service answers")
    return ", ".join(paths)


def health_over_grpc(subject: Subject) -> str:
    """The protocol's own three calls."""
    remote = subject.over_grpc()
    if not remote.call("ServerLive").live:
        raise Violation("ServerLive says no, and the service answers")
    if not remote.call("ServerReady").ready:
        raise Violation("ServerReady says no, and the service answers")
    if not remote.call("ModelReady", name=remote.model).ready:
        raise Violation(f"ModelReady says no of {remote.model!r}")
    return f"ServerLive, ServerReady and ModelReady at {remote.address}"


def standard_health(subject: Subject) -> str:
    """The standard service that load balancers and Kubernetes ask."""
    remote = subject.over_grpc()
    check = remote.channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        health_pb2.HealthCheckRequest.SerializeToString,
        health_pb2.HealthCheckResponse.FromString,
    )
    try:
        found = check(health_pb2.HealthCheckRequest(), timeout=remote.timeout_s, metadata=remote.metadata)
    except grpc.RpcError as error:
        raise _absent(error, "the standard health service") from error
    if found.status != health_pb2.HealthCheckResponse.SERVING:
        raise Violation(f"grpc.health.v1 says {found.status}, and the service answers")
    return "grpc.health.v1 says SERVING"


def reflection(subject: Subject) -> str:
    """What grpcurl and the like ask."""
    remote = subject.over_grpc()
    ask = remote.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
        reflection_pb2.ServerReflectionRequest.SerializeToString,
        reflection_pb2.ServerReflectionResponse.FromString,
    )
    request = reflection_pb2.ServerReflectionRequest(list_services="")
    try:
        found = next(ask(iter([request]), timeout=remote.timeout_s, metadata=remote.metadata))
    except grpc.RpcError as error:
        raise _absent(error, "reflection") from error
    names = [one.name for one in found.list_services_response.service]
    if open_inference.SERVICE not in names:
        raise Violation(f"reflection lists {', '.join(names)}, not {open_inference.SERVICE}")
    return ", ".join(names)


def _absent(error: grpc.RpcError, what: str) -> Exception:
    if error.code() is grpc.StatusCode.UNIMPLEMENTED:
        return NotShown(f"it does not have {what}")
    return Violation(f"{what} gives {error.code().name}: {error.details()}")


def server(subject: Subject) -> str:
    """GET /v2."""
    subject.over_rest()
    response = subject.client.get("/v2")
    try:
        value = response.json() if response.status_code == 200 else None
    except ValueError:
        value = None
    if not isinstance(value, dict) or not isinstance(value.get("name"), str) or not isinstance(value.get("version"), str):
        raise Violation(f"GET /v2 gives {response.status_code} {response.text[:100]!r}, not a name and a version")
    return f"{value['name']} {value['version']}"


def metadata(subject: Subject) -> str:
    """GET /v2/models/NAME."""
    rest = subject.over_rest()
    if subject.described is None:
        raise Violation(f"GET /v2/models/{rest.model} gives no metadata in JSON")
    try:
        found = model.read(subject.described)
    except ValueError as error:
        raise Violation(str(error)) from error
    if found.name != rest.model:
        raise Violation(f"the metadata's name is {found.name!r}, the model was asked for as {rest.model!r}")
    if not found.inputs or not found.outputs:
        raise Violation("the metadata names no inputs, or no outputs")
    return f"{len(found.inputs)} inputs, {len(found.outputs)} outputs, versions {', '.join(found.versions) or 'none'}"


def same_metadata(subject: Subject) -> str:
    """Over gRPC, too."""
    subject.over_rest()
    remote = subject.over_grpc()
    if isinstance(subject.model, str):
        raise NotShown(subject.model)
    try:
        found = remote.described()
    except ValueError as error:
        raise Violation(str(error)) from error
    if found != subject.model:
        raise Violation(f"ModelMetadata says {found}, REST says {subject.model}")
    return "name, versions, inputs and outputs"


def answers_are_described(subject: Subject) -> str:
    """What is answered is what the metadata announces."""
    if isinstance(subject.model, str):
        raise NotShown(subject.model)
    known = {one.name: one for one in subject.model.outputs}
    if not known:
        raise NotShown("the metadata names no outputs")
    answers = subject.alone[0]
    if set(answers) != set(known):
        raise Violation(f"the answers are {', '.join(answers)}, the metadata names {', '.join(known)}")
    for name, array in answers.items():
        shape = known[name].shape
        if array.ndim != len(shape) or any(axis not in (-1, size) for axis, size in zip(shape, array.shape, strict=True)):
            raise Violation(f"{name} has shape {list(array.shape)}, the metadata says {list(shape)}")
    return ", ".join(answers)


CHECKS = tuple(
    Check(name=name, kind=Kind.DESCRIPTION, shows=shows, look=look)
    for name, shows, look in (
        ("health", "The health paths of the server and of the model say that they are ready.", health),
        ("health-grpc", "ServerLive, ServerReady and ModelReady say so over gRPC.", health_over_grpc),
        ("grpc-health", "The standard health service of gRPC says that the service is serving.", standard_health),
        ("grpc-reflection", "Reflection over gRPC lists the protocol's service.", reflection),
        ("server-metadata", "The server says its name and version.", server),
        (
            "model-metadata",
            "The model's metadata names its inputs and outputs with datatypes and shapes of the protocol.",
            metadata,
        ),
        ("metadata-grpc", "ModelMetadata over gRPC says the same as REST.", same_metadata),
        ("answers-described", "The answers have the names and shapes that the metadata announces.", answers_are_described),
    )
)
