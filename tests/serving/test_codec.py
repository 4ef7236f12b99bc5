"""Arrays as JSON and as bytes."""

import struct

import ml_dtypes
import numpy as np
import pytest

from fdpipe.artifacts import TensorSpec
from fdpipe.serving import codec
from fdpipe.serving.refusal import Refusal


def spec(dtype: str = "float32", shape: tuple[int | str, ...] = ("rows", 2)) -> TensorSpec:
    return TensorSpec(name="x", dtype=dtype, shape=shape)


@pytest.mark.parametrize(
    ("raw", "dtype", "wanted"),
    [
        (b"[[1, 2.5]]", "float32", np.array([[1, 2.5]], np.float32)),
        (b" [ [1, null] ]", "float64", np.array([[1, np.nan]])),
        (b"[1, -2]", "int8", np.array([1, -2], np.int8)),
        (b"[true, false]", "bool", np.array([True, False])),
        (b'["a [", null]', "string", np.array(["a [", ""], object)),
        (b"[18446744073709551615]", "uint64", np.array([2**64 - 1], np.uint64)),
    ],
)
def test_nested(raw: bytes, dtype: str, wanted: np.ndarray) -> None:
    found = codec.nested(raw, spec(dtype))
    assert found.dtype == wanted.dtype
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("raw", "dtype", "says"),
    [
        (b'[["1", 2]]', "float32", "Expected `float | null`, got `str`"),
        (b"[[true, 2]]", "float32", "got `bool`"),
        (b"[[1, NaN]]", "float32", "malformed"),
        (b"[1.5]", "int64", "Expected `int`, got `float`"),
        (b"[null]", "int64", "got `null`"),
        (b"[300]", "int8", "a number that INT8 cannot hold"),
        (b"[-1]", "uint8", "a number that UINT8 cannot hold"),
        (b"[1e300]", "float32", "a number that FP32 cannot hold"),
        (b"[1e999]", "float64", "out of range"),
        (b"[[1, 2], [3]]", "float32", "ragged"),
        (b'[["a"], ["b", "c"]]', "string", "ragged"),
        (b"[[1, 2], []]", "float32", "ragged"),
        (b"[]", "string", None),
        (b"7", "float32", "must be a list"),
        (b"", "float32", "must be a list"),
        (b"[" * 40 + b"1" + b"]" * 40, "float32", "nested at most 16"),
        (b"[1, " + b"[" * 100_000 + b"]" * 100_000 + b"]", "float32", "got `array`"),
        (b'["\xff"]', "string", "can't decode byte 0xff"),
    ],
)
def test_nested_refuses(raw: bytes, dtype: str, says: str | None) -> None:
    if says is None:
        assert codec.nested(raw, spec(dtype)).size == 0
        return
    with pytest.raises(Refusal, match=says.replace("|", r"\|")) as refused:
        codec.nested(raw, spec(dtype))
    assert "\n" not in str(refused.value)


def test_flat_takes_both_forms() -> None:
    for raw in (b"[1, 2, 3, 4]", b"[[1, 2], [3, 4]]"):
        np.testing.assert_array_equal(codec.flat(raw, spec(), [2, 2]), [[1, 2], [3, 4]])
    with pytest.raises(Refusal, match="has 4 elements, which do not fill its shape"):
        codec.flat(b"[1, 2, 3, 4]", spec(), [2, 3])
    with pytest.raises(Refusal, match="do not fill"):
        codec.flat(b"[1, 2, 3, 4]", spec(), [-2, -2])


@pytest.mark.parametrize("dtype", ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"])
def test_whole_numbers_as_bytes(dtype: str) -> None:
    array = np.array([[0, 1], [1, 0]], dtype)
    np.testing.assert_array_equal(codec.from_bytes(codec.to_bytes(array), spec(dtype), [2, 2]), array)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_floats_as_bytes(dtype: str) -> None:
    array = np.array([[0.5, np.nan], [-np.inf, 3]], dtype)
    found = codec.from_bytes(codec.to_bytes(array), spec(dtype), [2, 2])
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize("order", ["<", ">"])
def test_bytes_are_little_endian(order: str) -> None:
    assert codec.to_bytes(np.array([[1, 2], [3, 4]], f"{order}u2").T) == b"\1\0\3\0\2\0\4\0"


def test_brain_floats() -> None:
    """Widened exactly; as numbers rounded first, as ml_dtypes rounds."""
    rng = np.random.default_rng(0)
    array = np.concatenate([rng.normal(size=996), [0.0, -0.0, 1e-40, 3e38]]).astype(np.float32).reshape(2, 500)
    brain = array.astype(ml_dtypes.bfloat16)
    np.testing.assert_array_equal(codec.from_bytes(brain.tobytes(), spec(), [2, 500], "BF16"), brain.astype(np.float32))
    np.testing.assert_array_equal(codec.rounded(array, spec()), brain.astype(np.float32))
    assert np.isnan(codec.rounded(np.array([np.nan], np.float32), spec())).all()
    with pytest.raises(Refusal, match="a number that BF16 cannot hold"):
        codec.rounded(np.array([np.finfo(np.float32).max]), spec())
    with pytest.raises(Refusal, match="no whole number of BF16"):
        codec.from_bytes(b"123", spec(), [1], "BF16")


@pytest.mark.parametrize(("datatype", "dtype"), [("FP32", "float32"), ("BF16", "float32"), ("BYTES", "string")])
def test_datatypes(datatype: str, dtype: str) -> None:
    codec.require_datatype(datatype, spec(dtype))


@pytest.mark.parametrize(("datatype", "dtype"), [("FP64", "float32"), ("BF16", "float64"), ("fp32", "float32"), ("", "string")])
def test_other_datatypes(datatype: str, dtype: str) -> None:
    with pytest.raises(Refusal, match=f"has datatype '{datatype}', the model takes "):
        codec.require_datatype(datatype, spec(dtype))


def test_elements_in_common() -> None:
    assert codec.element_of([spec("int8"), spec("uint64")]) is int
    assert codec.element_of([spec("float16"), spec("float64")]) == float | None
    assert codec.element_of([spec("float32"), spec("string")]) is None


def test_strings_as_bytes() -> None:
    array = np.array([["", "a"], ["ß漢", "b" * 300]])
    np.testing.assert_array_equal(codec.from_bytes(codec.to_bytes(array), spec("string"), [2, 2]), array)


@pytest.mark.parametrize(
    ("raw", "dtype", "says"),
    [
        (b"\0" * 7, "float32", "no whole number of FP32"),
        (b"\0" * 4, "float32", "has 1 elements"),
        (b"\1\2", "bool", "a byte that is neither 0 nor 1"),
        (struct.pack("<I", 9) + b"short", "string", "ends inside a string"),
        (b"\1\0", "string", "no sequence of UTF-8 strings, each after its length: it ends inside a length"),
        (struct.pack("<I", 1) + b"\xff", "string", "no sequence of UTF-8 strings"),
    ],
)
def test_bytes_refused(raw: bytes, dtype: str, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        codec.from_bytes(raw, spec(dtype), [2])


def test_a_column_may_have_two_axes() -> None:
    column = spec(shape=("rows",))
    for array in (np.zeros(3), np.zeros((3, 1))):
        assert codec.fitted({"x": array}, [column])["x"].shape == (3,)
    with pytest.raises(Refusal, match=r"has shape \[3, 2\], the model takes \[-1\]"):
        codec.fitted({"x": np.zeros((3, 2))}, [column])


def test_rows_must_agree() -> None:
    specs = [spec(), TensorSpec(name="y", dtype="float32", shape=("rows",))]
    with pytest.raises(Refusal, match=r"differ in their number of rows: \{'x': 2, 'y': 3\}"):
        codec.fitted({"x": np.zeros((2, 2)), "y": np.zeros(3)}, specs)
    with pytest.raises(Refusal, match="no rows"):
        codec.fitted({"x": np.zeros((0, 2)), "y": np.zeros(0)}, specs)


@pytest.mark.parametrize(("names", "says"), [(["y"], "no input 'y'"), ([], "'x' is missing"), (["x", "x"], "there twice")])
def test_names(names: list[str], says: str) -> None:
    with pytest.raises(Refusal, match=says):
        codec.require_names(names, [spec()])


def test_what_json_cannot_say() -> None:
    assert codec.listed({"a": np.array([0.1], np.float32), "b": np.array(["é"])}) == {"a": [float(np.float32(0.1))], "b": ["é"]}
    with pytest.raises(Refusal, match="not finite") as refused:
        codec.listed({"a": np.array([1.0, np.nan])})
    assert (refused.value.status, refused.value.kind) == (422, "not_finite")
