"""An inference request, from its bytes to arrays."""

import json
from typing import Any

import numpy as np
import pytest

from fdpipe.artifacts import TensorSpec
from fdpipe.serving.oip_request import Reader
from fdpipe.serving.refusal import Refusal

NUMBERS = (
    TensorSpec(name="a", dtype="float32", shape=("rows", 2)),
    TensorSpec(name="b", dtype="float64", shape=("rows",)),
)
MIXED = (*NUMBERS, TensorSpec(name="c", dtype="string", shape=("rows",)))
A = np.array([[1, 2], [3, 4]], np.float32)
B = np.array([5.0, 6.0])


def written(*, binary: bool, shifted: int = 0, **more: object) -> tuple[bytes, bytes | None]:
    """A request of `A` and `B`, in the other order than the model's, whose bytes begin at a multiple of 8, or `shifted`."""
    inputs: list[dict[str, Any]] = [
        {"name": "b", "datatype": "FP64", "shape": [2]},
        {"name": "a", "datatype": "FP32", "shape": [2, 2]},
    ]
    for tensor, array in zip(inputs, (B, A), strict=True):
        tensor |= {"parameters": {"binary_data_size": array.nbytes}} if binary else {"data": array.ravel().tolist()}
    header = json.dumps({"inputs": inputs} | more).encode()
    header = header.ljust(-(-len(header) // 8) * 8 + shifted)
    return (header + B.tobytes() + A.tobytes(), str(len(header)).encode()) if binary else (header, None)


@pytest.fixture
def reader() -> Reader:
    return Reader(NUMBERS, (TensorSpec(name="y", dtype="float32", shape=("rows",)),))


@pytest.mark.parametrize("binary", [True, False])
def test_arrays_are_in_the_models_order(reader: Reader, binary: bool) -> None:
    for _ in range(2):
        question, arrays = reader.read(*written(binary=binary))
        assert (question.id, question.timeout_us, question.outputs) == (None, 0, (("y", False),))
        assert list(arrays) == ["a", "b"]
        np.testing.assert_array_equal(arrays["a"], A)
        np.testing.assert_array_equal(arrays["b"], B)


def test_bytes_are_not_copied(reader: Reader) -> None:
    body, told = written(binary=True)
    whole = np.frombuffer(body, np.uint8)
    for _ in range(2):
        _, arrays = reader.read(body, told)
        assert all(np.shares_memory(whole, array) for array in arrays.values())


@pytest.mark.parametrize("shifted", range(1, 8))
def test_numbers_are_aligned(reader: Reader, shifted: int) -> None:
    for _ in range(2):
        _, arrays = reader.read(*written(binary=True, shifted=shifted))
        assert all(array.flags.aligned for array in arrays.values())
        np.testing.assert_array_equal(arrays["a"], A)
        np.testing.assert_array_equal(arrays["b"], B)


def test_parameters_and_id(reader: Reader) -> None:
    more: dict[str, Any] = {"id": "r", "parameters": {"binary_data_output": True, "timeout": 2000, "priority": 1}}
    question, _ = reader.read(*written(binary=True, **more))
    assert (question.id, question.timeout_us, question.outputs) == ("r", 2000, (("y", True),))


@pytest.mark.parametrize("binary", [True, False, None])
@pytest.mark.parametrize("by_default", [True, False])
def test_an_outputs_own_form_counts_more(reader: Reader, binary: bool | None, by_default: bool) -> None:
    more: dict[str, Any] = {
        "parameters": {"binary_data_output": by_default},
        "outputs": [{"name": "y", "parameters": {"binary_data": binary}}],
    }
    question, _ = reader.read(*written(binary=True, **more))
    assert question.outputs == (("y", by_default if binary is None else binary),)


def test_brain_floats_in_json(reader: Reader) -> None:
    body = written(binary=False)[0].replace(b"FP32", b"BF16").replace(b"1.0", b"1.001")
    np.testing.assert_array_equal(reader.read(body, None)[1]["a"], A)


def test_lists_of_several_kinds() -> None:
    reader = Reader(MIXED, ())
    body = json.loads(written(binary=False)[0])
    body["inputs"].append({"name": "c", "datatype": "BYTES", "shape": [2], "data": ["x", None]})
    _, arrays = reader.read(json.dumps(body).encode(), None)
    assert arrays["c"].tolist() == ["x", ""]


def test_the_header_must_leave_the_bytes(reader: Reader) -> None:
    body, told = written(binary=True)
    with pytest.raises(Refusal, match="3 bytes of the body belong to no input"):
        reader.read(body + b"abc", told)
    with pytest.raises(Refusal, match="has a binary_data_size of 16, 15 bytes are left"):
        reader.read(body[:-1], told)


def test_a_great_many_kinds_of_request(reader: Reader) -> None:
    """What is kept is bounded, and what was kept before is read again."""
    for number in range(1100):
        _, arrays = reader.read(*written(binary=True, parameters={"timeout": number}))
        assert arrays["b"].tolist() == [5, 6]
    question, _ = reader.read(*written(binary=True, parameters={"timeout": 3}))
    assert question.timeout_us == 3
    assert len(reader._kept) <= 1000
