"""Every datatype × rank × JSON or binary, there and back, by Triton's own client against a running release."""

import itertools

import ml_dtypes
import numpy as np
import pytest
from tritonclient.http import InferenceServerClient, InferInput, InferRequestedOutput, InferResult

from fdpipe.artifacts import TensorSpec
from fdpipe.serving.codec import DATATYPES
from tests.serving import tiny
from tests.serving.conftest import Served

CELLS = [(dtype, rank) for dtype in tiny.DTYPES for rank in tiny.AXES]
SPECS = {
    cell: TensorSpec(name=f"{cell[0]}_{cell[1]}", dtype=cell[0], shape=tiny.AXES[cell[1]])
    for cell in CELLS
}  # fmt: skip
RECORDS = {spec.name: tiny.anything(np.random.default_rng(3), spec, 2) for spec in SPECS.values()}


@pytest.fixture(scope="module")
def client(echo: Served) -> InferenceServerClient:
    return InferenceServerClient(f"127.0.0.1:{echo.port + 1}")


def tensor(spec: TensorSpec, *, binary: bool) -> InferInput:
    array = RECORDS[spec.name]
    made = InferInput(spec.name, list(array.shape), DATATYPES[spec.dtype])
    return made.set_data_from_numpy(array, binary_data=binary)


def answered(reply: InferResult, spec: TensorSpec) -> np.ndarray:
    found: np.ndarray = reply.as_numpy(f"{spec.name}_out")
    if spec.dtype != "string":
        return found
    texts = [one.decode() if isinstance(one, bytes) else one for one in found.ravel()]
    return np.array(texts, dtype=object).reshape(found.shape)


@pytest.mark.parametrize(("dtype", "rank"), CELLS)
@pytest.mark.parametrize(("sent", "asked"), list(itertools.product([True, False], repeat=2)))
def test_each(client: InferenceServerClient, dtype: str, rank: int, sent: bool, asked: bool) -> None:
    """One tensor in this form; its neighbours, which the model needs too, as bytes."""
    wanted = SPECS[dtype, rank]
    inputs = [tensor(spec, binary=sent or spec is not wanted) for spec in SPECS.values()]
    reply = client.infer("echo", inputs, outputs=[InferRequestedOutput(f"{wanted.name}_out", binary_data=asked)])
    (told,) = reply.get_response()["outputs"]
    assert (told["datatype"], tuple(told["shape"])) == (DATATYPES[dtype], RECORDS[wanted.name].shape)
    assert ("data" in told) == (not asked)
    found = answered(reply, wanted)
    assert found.dtype == RECORDS[wanted.name].dtype
    np.testing.assert_array_equal(found, RECORDS[wanted.name])


@pytest.mark.parametrize("seed", range(5))
def test_mixed(client: InferenceServerClient, seed: int) -> None:
    """All in one request, each in JSON or as bytes, and in any order."""
    rng = np.random.default_rng(seed)
    specs = list(SPECS.values())
    inputs = [tensor(specs[at], binary=bool(rng.integers(2))) for at in rng.permutation(len(specs))]
    outputs = [
        InferRequestedOutput(f"{specs[at].name}_out", binary_data=bool(rng.integers(2))) for at in rng.permutation(len(specs))
    ]
    reply = client.infer("echo", inputs, outputs=outputs, request_id="mixed")
    for spec in specs:
        np.testing.assert_array_equal(answered(reply, spec), RECORDS[spec.name])


@pytest.mark.parametrize("rank", list(tiny.AXES))
def test_brain_floats(client: InferenceServerClient, rank: int) -> None:
    """They are widened to the model's own FP32, in which it answers."""
    wanted = SPECS["float32", rank]
    array = RECORDS[wanted.name].astype(ml_dtypes.bfloat16)
    array.flat[0] = np.nan
    sent = InferInput(wanted.name, list(array.shape), "BF16")
    sent.set_data_from_numpy(array)
    inputs = [sent if spec is wanted else tensor(spec, binary=True) for spec in SPECS.values()]
    reply = client.infer("echo", inputs, outputs=[InferRequestedOutput(f"{wanted.name}_out")])
    np.testing.assert_array_equal(answered(reply, wanted), array.astype(np.float32))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_what_is_not_finite_passes_as_bytes(client: InferenceServerClient, dtype: str) -> None:
    wanted = SPECS[dtype, 1]
    array = np.array([np.nan, -np.inf], dtype)
    sent = InferInput(wanted.name, [2], DATATYPES[dtype])
    sent.set_data_from_numpy(array)
    inputs = [sent if spec is wanted else tensor(spec, binary=True) for spec in SPECS.values()]
    reply = client.infer("echo", inputs, outputs=[InferRequestedOutput(f"{wanted.name}_out")])
    np.testing.assert_array_equal(answered(reply, wanted), array)


def test_the_descriptions_name_every_datatype(client: InferenceServerClient) -> None:
    metadata, configuration = client.get_model_metadata("echo"), client.get_model_config("echo", "7")
    assert [one["datatype"] for one in metadata["inputs"]] == [DATATYPES[dtype] for dtype, _ in CELLS]
    types = [f"TYPE_{'STRING' if dtype == 'string' else DATATYPES[dtype]}" for dtype, _ in CELLS]
    assert [one["data_type"] for one in configuration["input"]] == types
    assert [one["dims"] for one in configuration["input"]] == [one["shape"] for one in metadata["inputs"]]
    assert client.get_model_repository_index() == [{"name": "echo", "version": "7", "state": "READY", "reason": ""}]
