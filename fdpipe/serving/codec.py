"""Arrays as JSON and as bytes, in both directions: strict about dtypes and shapes, nothing is converted silently.

In JSON a missing number is `null` (NaN inside), and so is a missing string (empty inside). NaN and Infinity are no JSON. As
bytes every bit pattern of a float is one, and what NaN means is the model's affair, as it was in its evaluation.
"""

import functools
import re
import sys
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import TensorSpec
from fdpipe.serving import brain_float, media, strings
from fdpipe.serving.refusal import Refusal

T = TypeVar("T")

DATATYPES = {
    "bool": "BOOL",
    **{f"{sign.lower()}int{bits}": f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64)},
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "string": "BYTES",
}
"""numpy's name of a dtype (or `string`) → the Open Inference Protocol's."""

_DEEPEST = 16
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for text that is no JSON, no UTF-8, or nested without end."""

_ELEMENTS: dict[str, Any] = {"f": float | None, "i": int, "u": int, "b": bool, "O": str | None}


def read(raw: bytes, form: type[T], what: str) -> T:
    """What the JSON says, of this type; the refusal begins with `what`."""
    try:
        return msgspec.json.decode(raw, type=form)
    except UNREADABLE as error:
        raise Refusal(f"{what}: {error}") from error


def decoded(raw: bytes | memoryview, decoder: msgspec.json.Decoder[T], what: str) -> T:
    """The same by a decoder that is kept."""
    try:
        return decoder.decode(raw)
    except UNREADABLE as error:
        raise Refusal(f"{what}: {error}") from error


def require_datatype(datatype: str, spec: TensorSpec) -> None:
    """Refuse an input that is sent as anything else than its own datatype, or than BF16 for an FP32."""
    known = DATATYPES[spec.dtype]
    if datatype != known and not (datatype == brain_float.DATATYPE and spec.dtype == "float32"):
        raise Refusal(f"input {spec.name!r} has datatype {datatype!r}, the model takes {known}")


def shape_of(spec: TensorSpec) -> list[int]:
    """The shape as the protocol writes it, -1 for a symbolic axis."""
    return [axis if isinstance(axis, int) else -1 for axis in spec.shape]


def json_type(spec: TensorSpec) -> Any:  # noqa: ANN401 - a type expression
    """The type of the nested list that `nested` reads."""
    return _lists(_ELEMENTS[_dtype(spec).kind], len(spec.shape))


def element_of(specs: Sequence[TensorSpec]) -> Any:  # noqa: ANN401 - a type expression
    """The type of an element in JSON where all the specs have the same, else None: their lists need to be read only once."""
    kinds = {_dtype(spec).kind for spec in specs}
    return _ELEMENTS[kinds.pop().replace("u", "i")] if len({kind.replace("u", "i") for kind in kinds}) == 1 else None


def nested(raw: bytes | memoryview, spec: TensorSpec) -> np.ndarray:
    """An array from a JSON list, nested as deep as the array has axes."""
    depth = _depth(raw)
    try:
        values = _decoder(_dtype(spec).kind, depth).decode(raw)
    except UNREADABLE as error:
        raise Refusal(f"input {spec.name!r}: {error}") from error
    return _array(values, spec, depth)


def flat(raw: bytes | memoryview, spec: TensorSpec, shape: Sequence[int]) -> np.ndarray:
    """An array of this shape from a JSON list of its elements, row by row, flat or nested."""
    return _shaped(nested(raw, spec), spec, shape)


def from_list(values: list[Any], spec: TensorSpec, shape: Sequence[int]) -> np.ndarray:
    """The same from the elements, of the type that `element_of` gives."""
    return _shaped(_array(values, spec, 1), spec, shape)


def rounded(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """An FP32 input whose numbers in JSON were called BF16."""
    near = brain_float.rounded(array)
    if np.isinf(near).any():
        raise Refusal(f"input {spec.name!r} has a number that {brain_float.DATATYPE} cannot hold")
    return near


def from_bytes(raw: bytes | memoryview, spec: TensorSpec, shape: Sequence[int], datatype: str | None = None) -> np.ndarray:
    """An array of this shape from its elements' bytes: little-endian, strings after their length in four bytes. Numbers are not
    copied where they lie `aligned`. `datatype` is the one that they were sent as."""
    dtype = _dtype(spec)
    if dtype.kind == "O":
        return _shaped(np.array(_strings(raw, spec), dtype=object), spec, shape)
    is_half = datatype == brain_float.DATATYPE
    size = brain_float.ITEM_BYTES if is_half else dtype.itemsize
    if len(raw) % size:
        raise Refusal(
            f"input {spec.name!r} has {len(raw)} bytes, which is no whole number of {datatype or DATATYPES[spec.dtype]}"
        )
    if is_half:
        return _shaped(brain_float.widened(raw), spec, shape)
    if dtype.kind == "b":
        return _shaped(_truths(np.frombuffer(raw, np.uint8), spec), spec, shape)
    return _shaped(aligned(np.frombuffer(raw, _LITTLE[dtype]).astype(dtype, copy=False)), spec, shape)


def aligned(array: np.ndarray) -> np.ndarray:
    """Itself where its numbers begin at multiples of their size, or a copy that does: what is compiled relies on it."""
    return array if array.flags.aligned else array.copy()


def require_names(names: Sequence[str], specs: Sequence[TensorSpec]) -> None:
    """Refuse an input that is missing, unknown, or there twice."""
    known = [spec.name for spec in specs]
    if unknown := sorted(set(names) - set(known)):
        raise Refusal(f"there is no input {unknown[0]!r}: the model has {', '.join(known)}")
    if absent := [name for name in known if name not in names]:
        raise Refusal(f"input {absent[0]!r} is missing: the model needs {', '.join(known)}")
    if len(names) > len(known):
        raise Refusal("an input is there twice")


def fitted(arrays: Batch, specs: Sequence[TensorSpec]) -> dict[str, np.ndarray]:
    """The inputs in the shapes of their specs, all with equally many rows."""
    fit = {spec.name: _fit(arrays[spec.name], spec) for spec in specs}
    _require_rows(fit)
    return fit


def listed(answers: Batch) -> dict[str, list[Any]]:
    """The arrays as nested lists for JSON; refused where a number is not finite, which JSON cannot say."""
    for name, array in answers.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Refusal(
                f"the answer {name!r} has a number that is not finite, for these inputs", status=422, kind="not_finite"
            )
    return {name: array.tolist() for name, array in answers.items()}


def to_bytes(array: np.ndarray) -> bytes:
    """The elements' bytes, as `from_bytes` reads them."""
    if array.dtype.kind not in "OUS":
        little = array if sys.byteorder == "little" and array.dtype.isnative else array.astype(array.dtype.newbyteorder("<"))
        return little.tobytes()
    return strings.joined([str(item) for item in array.ravel()])


def datatype_of(array: np.ndarray) -> str:
    """The protocol's name of an array's dtype."""
    return "BYTES" if array.dtype.kind in "OUS" else DATATYPES[array.dtype.name]


_DTYPES = {name: np.dtype(object if name == "string" else name) for name in DATATYPES}
_LITTLE = {dtype: dtype.newbyteorder("<") for dtype in _DTYPES.values()}


def _dtype(spec: TensorSpec) -> np.dtype[Any]:
    return _DTYPES[spec.dtype]


def _strings(raw: bytes | memoryview, spec: TensorSpec) -> list[str]:
    try:
        return strings.split(bytes(raw), media.reader(spec))
    except ValueError as error:
        raise Refusal(f"input {spec.name!r} is no sequence of UTF-8 strings, each after its length: {error}") from error


def _truths(stored: np.ndarray, spec: TensorSpec) -> np.ndarray:
    if (stored > 1).any():
        raise Refusal(f"input {spec.name!r} has a byte that is neither 0 nor 1, as BOOL must be")
    return stored.view(np.bool_)


def _depth(raw: bytes | memoryview) -> int:
    opening = re.match(rb"[\[ \t\r\n]*", raw)
    depth = opening[0].count(b"[") if opening else 0
    if not 0 < depth <= _DEEPEST:
        raise Refusal(f"an input must be a list, nested at most {_DEEPEST} deep")
    return depth


@functools.cache
def _decoder(kind: str, depth: int) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(_lists(_ELEMENTS[kind], depth))


def _lists(element: Any, depth: int) -> Any:  # noqa: ANN401 - type expressions
    return functools.reduce(lambda form, _: list[form], range(depth), element)  # type: ignore[valid-type]


def _array(values: list[Any], spec: TensorSpec, depth: int) -> np.ndarray:
    dtype = _dtype(spec)
    try:
        with np.errstate(over="ignore"):
            array = np.array(values, dtype=dtype)
    except OverflowError as error:
        raise Refusal(f"input {spec.name!r} has a number that {DATATYPES[spec.dtype]} cannot hold") from error
    except ValueError as error:
        raise Refusal(f"input {spec.name!r} is ragged: its lists differ in length") from error
    if array.ndim != depth:
        raise Refusal(f"input {spec.name!r} is ragged or empty: its lists must not be empty, nor differ in length")
    if dtype.kind == "f" and np.isinf(array).any():
        raise Refusal(f"input {spec.name!r} has a number that {DATATYPES[spec.dtype]} cannot hold")
    if dtype.kind == "O":
        array[array == None] = ""  # noqa: E711 - element by element
    return array


def _shaped(array: np.ndarray, spec: TensorSpec, shape: Sequence[int]) -> np.ndarray:
    try:
        if min(shape, default=0) < 0:
            raise ValueError("an axis is negative")
        return array.reshape(tuple(shape))
    except (ValueError, OverflowError) as error:  # of numpy's, for sizes that differ, and axes that are too many or too long
        text = f"input {spec.name!r} has {array.size} elements, which do not fill its shape {list(shape)}"
        raise Refusal(text) from error


def _fit(array: np.ndarray, spec: TensorSpec) -> np.ndarray:
    """The array in its spec's shape; a single column may come as [n] or [n, 1]."""
    if len(spec.shape) == 1 and array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    wanted = shape_of(spec)
    if array.ndim != len(wanted) or any(one not in (-1, other) for one, other in zip(wanted, array.shape, strict=True)):
        raise Refusal(f"input {spec.name!r} has shape {list(array.shape)}, the model takes {wanted}")
    return array


def _require_rows(arrays: Batch) -> None:
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise Refusal(f"the inputs differ in their number of rows: {counts}")
    if 0 in counts.values():
        raise Refusal("the inputs have no rows")
