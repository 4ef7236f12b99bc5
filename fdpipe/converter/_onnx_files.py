"""An ONNX file that somebody else made: whether its weights are where they may be, and are what it says."""

import math
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from fdpipe import graphs
from fdpipe.errors import ConversionError

if TYPE_CHECKING:
    from onnx import ModelProto, TensorProto

TARGET = "model.onnx"
"""What the export is called."""

KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "ai.onnx.preview.training", "com.microsoft", "com.microsoft.nchwc")
"""The operator sets that ONNX Runtime has."""

FIXED_BYTES = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 14: 8, 15: 16, 16: 2}
"""The size of one element, by TensorProto's number of its type; what is not here is narrower than a byte, or text."""


def checked(source: Path) -> "ModelProto":
    """The graph without the weights beside it; `ConversionError` where a weight lies anywhere but in a regular file below
    the model's folder, is not of the size that its shape says, or an operator is of a set that ONNX Runtime has not."""
    import onnx

    try:
        model = onnx.load(source, load_external_data=False)
    except graphs.library_errors() as error:
        raise ConversionError(f"{source.name} is no ONNX file: {' '.join(str(error).split())[:200]}") from error
    for tensor in _tensors(model):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _check_external(source, tensor)
        else:
            _check_size(source, tensor, len(tensor.raw_data))
    _check_operators(source, model)
    return model


def external_files(model: "ModelProto") -> list[str]:
    """The files with weights that the model names, relative to its own folder."""
    from onnx import TensorProto

    return sorted({_entries(one)["location"] for one in _tensors(model) if one.data_location == TensorProto.EXTERNAL})


def _tensors(message: Any) -> Iterator["TensorProto"]:  # noqa: ANN401 - any of protobuf's messages
    """Every tensor in it, wherever it is: of graphs in nodes, sparse ones, attributes, functions, training."""
    from google.protobuf.message import Message
    from onnx import TensorProto

    waiting = [message]
    while waiting:
        one = waiting.pop()
        if isinstance(one, TensorProto):
            yield one
            continue
        for field, value in one.ListFields():
            if field.message_type is not None:
                waiting.extend([value] if isinstance(value, Message) else value)


def _entries(tensor: "TensorProto") -> dict[str, str]:
    return {"location": "", **{entry.key: entry.value for entry in tensor.external_data}}


def _check_external(source: Path, tensor: "TensorProto") -> None:
    entries = _entries(tensor)
    location = entries["location"]
    path = _file(source, location)
    if path.name == source.name and path.parent == source.parent:
        raise ConversionError(f"{source.name} keeps weights in itself: {location!r} must be another file")
    if PurePosixPath(location) == PurePosixPath(TARGET):
        raise ConversionError(f"{source.name} keeps weights in {location!r}, which is what its export is called: rename it")
    size = path.stat().st_size
    offset, length = (_number(source, tensor, entries, key) for key in ("offset", "length"))
    offset, length = offset or 0, size - (offset or 0) if length is None else length
    if length < 0 or offset + length > size:
        raise ConversionError(f"{source.name} takes {tensor.name!r} from beyond the end of {location!r}, of {size} bytes")
    _check_size(source, tensor, length, exactly="length" in entries)


def _file(source: Path, location: str) -> Path:
    """The regular file, every folder on the way to which is one, too."""
    parts = PurePosixPath(location).parts
    where = f"{source.name} keeps weights in {location[:200]!r}"
    odd = any(character in location for character in "\\*\0")  # ONNX Runtime takes some such names for addresses in memory
    path = source.parent
    if not parts or odd or ".." in parts or PurePosixPath(location).is_absolute():
        raise ConversionError(f"{where}, which is no regular file in the model's folder")
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ConversionError(f"{where}, which is no regular file in the model's folder: {part!r} is a link")
    if not path.is_file():
        raise ConversionError(f"{where}, which is no regular file in the model's folder")
    if path.stat().st_nlink > 1:
        raise ConversionError(f"{where}, which is a hard link: the file has other names, maybe outside the model's folder")
    return path


def _number(source: Path, tensor: "TensorProto", entries: dict[str, str], key: str) -> int | None:
    text = entries.get(key)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ConversionError(f"{source.name} gives {tensor.name!r} the {key} {text[:40]!r}: it must be a whole number")
    return int(text)


def _check_size(source: Path, tensor: "TensorProto", size: int, *, exactly: bool = True) -> None:
    """That as many bytes are there as the shape asks for, so that nobody makes room for more."""
    element = FIXED_BYTES.get(tensor.data_type)
    inline = not size and tensor.data_location == tensor.DEFAULT
    if inline:
        held = max(len(getattr(tensor, f"{kind}_data")) for kind in ("float", "int32", "int64", "double", "uint64", "string"))
        wanted, unit = math.prod(tensor.dims), "values"
        fits = held >= wanted if element is not None or tensor.data_type == tensor.STRING else held * 8 >= wanted
    elif element is None:
        held, wanted, unit = size, math.prod(tensor.dims), "bytes"
        fits = held * 8 >= wanted
    else:
        held, wanted, unit = size, math.prod(tensor.dims) * element, "bytes"
        fits = held == wanted if exactly else held >= wanted
    if any(dimension < 0 for dimension in tensor.dims) or not fits:
        shape = ", ".join(map(str, tensor.dims))
        raise ConversionError(f"{source.name} has {held} {unit} for {tensor.name!r}, whose shape ({shape}) asks for {wanted}")


def _check_operators(source: Path, model: "ModelProto") -> None:
    known = {*KNOWN_DOMAINS, *(function.domain for function in model.functions)}
    for node in (*model.graph.node, *(node for function in model.functions for node in function.node)):
        if node.domain not in known:
            raise ConversionError(
                f"{source.name} uses {node.domain}:{node.op_type}, an operator that ONNX Runtime has not: "
                f"there are those of {', '.join(KNOWN_DOMAINS[1:4])} and {KNOWN_DOMAINS[4]}"
            )
