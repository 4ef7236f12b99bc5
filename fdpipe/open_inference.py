"""The messages of the Open Inference Protocol V2 over gRPC, in a descriptor pool of their own.

Clients of the protocol put their own copy of it into protobuf's default pool, where each name can stand only once; a process
may hold both. serving/open_inference.proto says the same for other languages, and a test compares the two.
"""

from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PACKAGE = "inference"
FILE = "open_inference.proto"
SERVICE = f"{PACKAGE}.GRPCInferenceService"

METHODS = ("ServerLive", "ServerReady", "ModelReady", "ServerMetadata", "ModelMetadata", "ModelInfer")
"""Each takes the message of its name that ends with `Request`, and gives the one that ends with `Response`."""

_TENSOR = ("name: string = 1", "datatype: string = 2", "shape: repeated int64 = 3")
_MODEL = ("name: string = 1", "version: string = 2")
_FILLED = (*_TENSOR, "parameters: map = 4", "contents: InferTensorContents = 5")
_MESSAGES: dict[str, tuple[str, ...]] = {
    "ServerLiveRequest": (),
    "ServerLiveResponse": ("live: bool = 1",),
    "ServerReadyRequest": (),
    "ServerReadyResponse": ("ready: bool = 1",),
    "ModelReadyRequest": _MODEL,
    "ModelReadyResponse": ("ready: bool = 1",),
    "ServerMetadataRequest": (),
    "ServerMetadataResponse": (*_MODEL, "extensions: repeated string = 3"),
    "ModelMetadataRequest": _MODEL,
    "ModelMetadataResponse.TensorMetadata": _TENSOR,
    "ModelMetadataResponse": (
        "name: string = 1",
        "versions: repeated string = 2",
        "platform: string = 3",
        "inputs: repeated ModelMetadataResponse.TensorMetadata = 4",
        "outputs: repeated ModelMetadataResponse.TensorMetadata = 5",
    ),
    "InferParameter": (
        "bool_param: one bool = 1",
        "int64_param: one int64 = 2",
        "string_param: one string = 3",
        "double_param: one double = 4",
        "uint64_param: one uint64 = 5",
    ),
    "InferTensorContents": (
        "bool_contents: repeated bool = 1",
        "int_contents: repeated int32 = 2",
        "int64_contents: repeated int64 = 3",
        "uint_contents: repeated uint32 = 4",
        "uint64_contents: repeated uint64 = 5",
        "fp32_contents: repeated float = 6",
        "fp64_contents: repeated double = 7",
        "bytes_contents: repeated bytes = 8",
    ),
    "ModelInferRequest.InferInputTensor": _FILLED,
    "ModelInferRequest.InferRequestedOutputTensor": ("name: string = 1", "parameters: map = 2"),
    "ModelInferRequest": (
        "model_name: string = 1",
        "model_version: string = 2",
        "id: string = 3",
        "parameters: map = 4",
        "inputs: repeated ModelInferRequest.InferInputTensor = 5",
        "outputs: repeated ModelInferRequest.InferRequestedOutputTensor = 6",
        "raw_input_contents: repeated bytes = 7",
    ),
    "ModelInferResponse.InferOutputTensor": _FILLED,
    "ModelInferResponse": (
        "model_name: string = 1",
        "model_version: string = 2",
        "id: string = 3",
        "parameters: map = 4",
        "outputs: repeated ModelInferResponse.InferOutputTensor = 5",
        "raw_output_contents: repeated bytes = 6",
    ),
}
"""The fields of each. `map` is one from names to `InferParameter`; `one` marks the choices of a `oneof`."""

_Field = descriptor_pb2.FieldDescriptorProto
_ENTRY = "ParametersEntry"
_CHOICE = "parameter_choice"


def described() -> descriptor_pb2.FileDescriptorProto:
    """What the compiler of protobuf makes of `open_inference.proto`."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    made: dict[str, descriptor_pb2.DescriptorProto] = {}
    for name in sorted(_MESSAGES, key=lambda name: "." in name):  # a message before those inside it
        outer, _, inner = name.rpartition(".")
        made[name] = made[outer].nested_type.add(name=inner) if outer else file.message_type.add(name=inner)
    for name, lines in _MESSAGES.items():
        for line in lines:
            _describe(made[name], line, name)
    service = file.service.add(name=SERVICE.rpartition(".")[2])
    for method in METHODS:
        types = {"input_type": f".{PACKAGE}.{method}Request", "output_type": f".{PACKAGE}.{method}Response"}
        service.method.add(name=method, options=descriptor_pb2.MethodOptions(), **types)
    return file


def _describe(message: descriptor_pb2.DescriptorProto, line: str, full_name: str) -> None:
    """One field, from its line above."""
    name, _, rest = line.partition(": ")
    kind, _, number = rest.partition(" = ")
    *label, kind = kind.split(" ")
    field = message.field.add(name=name, number=int(number), json_name=_json_name(name))
    field.label = _Field.LABEL_REPEATED if label == ["repeated"] or kind == "map" else _Field.LABEL_OPTIONAL
    if kind == "map":
        entry = message.nested_type.add(name=_ENTRY, options=descriptor_pb2.MessageOptions(map_entry=True))
        _describe(entry, "key: string = 1", "")
        _describe(entry, "value: InferParameter = 2", "")
        kind = f"{full_name}.{_ENTRY}"
    if kind[0].isupper():
        field.type, field.type_name = _Field.TYPE_MESSAGE, f".{PACKAGE}.{kind}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{kind.upper()}")
    if label == ["one"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name=_CHOICE)
        field.oneof_index = 0


def _json_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.capitalize() for other in others)


POOL = descriptor_pool.DescriptorPool()
POOL.Add(described())


def message(name: str) -> Any:  # noqa: ANN401 - protobuf makes its classes at run time
    """The class of a message, by its name in the protocol."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{name}"))
