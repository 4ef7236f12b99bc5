"""Arrays as the typed contents of a gRPC message, in both directions: a list in the one field that fits the datatype."""

from typing import Any

import numpy as np

from fdpipe.artifacts import TensorSpec
from fdpipe.serving import codec, media
from fdpipe.serving.refusal import Refusal

FIELDS = {
    "BOOL": "bool_contents",
    **dict.fromkeys(("INT8", "INT16", "INT32"), "int_contents"),
    "INT64": "int64_contents",
    **dict.fromkeys(("UINT8", "UINT16", "UINT32"), "uint_contents"),
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}
"""A datatype of the Open Inference Protocol → the field of `InferTensorContents` that holds it. FP16 and BF16 have none."""


def filled(array: np.ndarray) -> dict[str, list[Any]]:
    """The fields of an `InferTensorContents` with the array's elements, whose datatype has one."""
    elements = array.ravel().tolist()
    datatype = codec.datatype_of(array)
    return {FIELDS[datatype]: [str(one).encode() for one in elements] if datatype == "BYTES" else elements}


def read(
    contents: Any,  # noqa: ANN401 - protobuf makes its classes at run time
    spec: TensorSpec,
    shape: list[int],
    datatype: str,
) -> np.ndarray:
    """An array of this shape from an `InferTensorContents`, sent as this datatype."""
    name = _field(contents, spec, datatype)
    values = list(getattr(contents, name))
    if datatype == "BYTES":
        return codec.from_list(_texts(values, spec), spec, shape)
    try:
        array = np.array(values, dtype=spec.dtype)
    except OverflowError as error:
        raise Refusal(f"input {spec.name!r} has a number that {datatype} cannot hold") from error
    return codec.from_bytes(array.data.cast("B"), spec, shape)


def _field(contents: Any, spec: TensorSpec, datatype: str) -> str:  # noqa: ANN401 - protobuf makes its classes at run time
    """The one field that is filled; refused where it is another than the datatype's."""
    own = FIELDS.get(datatype)
    if own is None:
        raise Refusal(f"input {spec.name!r} is of {datatype}, which has no contents of its own: send raw_input_contents")
    found = [field.name for field, _ in contents.ListFields()]
    if found != [own]:
        raise Refusal(f"input {spec.name!r} is of {datatype}: its {own} must be filled, not {' and '.join(found) or 'nothing'}")
    return own


def _texts(values: list[bytes], spec: TensorSpec) -> list[str]:
    read = media.reader(spec)
    try:
        return [read(one) for one in values]
    except UnicodeDecodeError as error:
        raise Refusal(f"input {spec.name!r} has a string that is no UTF-8: {error}") from error
