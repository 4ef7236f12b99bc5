"""The path from records to answers, with a fake model."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Manifest, TensorSpec
from fdpipe.errors import OriginalLost, StageError
from fdpipe.serving import oip
from fdpipe.serving.application import Application
from fdpipe.serving.call import Call, Prediction
from fdpipe.serving.figures import Figures
from fdpipe.serving.predictor import Predictor
from fdpipe.serving.refusal import Refusal
from fdpipe.testing import INPUTS, FakeModel, FakeProcessor, FakeRuntime, answer
from tests.contracts.monitor import RELEASE

X = np.array([[1, 2, 3, 4]], np.float32)


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    path = tmp_path / "model.onnx"
    FakeModel().save(path)
    return replace(
        RELEASE,
        artifact=replace(RELEASE.artifact, path=path),
        processor=workers.spec("processor", FakeProcessor()),
        runtime=workers.spec("runtime", FakeRuntime()),
        inputs=INPUTS,
        answers=(TensorSpec(name="probabilities", dtype="float32", shape=("rows", 3)),),
    )


async def ask(predictor: Predictor, timeout_s: float = 5.0) -> httpx.Response:
    app = Application(oip.routes(predictor), replace(predictor.manifest, timeout_s=timeout_s), Figures([]))
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": X.ravel().tolist()}]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
        return await client.post("/v2/models/tiny/infer", json=body)


def predicted(predictor: Predictor, records: Batch) -> Prediction:
    async def call() -> Prediction:
        return await predictor.predict(records, Call("test", time.monotonic() + 5))

    return asyncio.run(call())


def infer(predictor: Predictor) -> httpx.Response:
    return asyncio.run(ask(predictor))


def test_prepare_run_finish(manifest: Manifest) -> None:
    predictor = Predictor(manifest)
    predictor.open()
    found = predicted(predictor, {"x": X.astype(np.float64)})
    assert found.records["x"].dtype == np.float64
    assert found.tensors["x"].dtype == np.float32
    np.testing.assert_array_equal(found.answers["probabilities"], answer({"x": X})["probabilities"])


def test_what_the_processor_does_not_take(manifest: Manifest) -> None:
    predictor = Predictor(manifest)
    predictor.open()
    with pytest.raises(Refusal, match="the input x is missing") as refused:
        predicted(predictor, {})
    assert refused.value.status == 400


def test_before_it_is_opened_and_after_it_is_closed(manifest: Manifest) -> None:
    predictor = Predictor(manifest)
    assert (infer(predictor).status_code, infer(predictor).json()) == (503, {"error": "the model is not loaded"})
    predictor.open()
    assert infer(predictor).status_code == 200
    predictor.close()
    assert infer(predictor).status_code == 503


def test_what_the_model_cannot_answer(manifest: Manifest) -> None:
    class Choosy:
        def run(self, batch: Batch) -> dict[str, np.ndarray]:
            raise StageError("it takes one row")

        def close(self) -> None: ...

    predictor = Predictor(manifest)
    predictor.engine = Choosy()
    reply = infer(predictor)
    assert (reply.status_code, reply.json()) == (422, {"error": "the model cannot answer these inputs: it takes one row"})


def test_a_process_that_was_lost_is_no_fault_of_the_request(manifest: Manifest) -> None:
    class Lost:
        def run(self, batch: Batch) -> dict[str, np.ndarray]:
            raise OriginalLost("the original was ended by SIGKILL while it answered; its last lines: a secret")

        def close(self) -> None:
            pass

    predictor = Predictor(manifest)
    predictor.engine = Lost()
    reply = infer(predictor)
    told = "the model's process was lost, the next request starts another"
    assert (reply.status_code, reply.json()) == (503, {"error": told})


def test_a_slow_model_does_not_hold_the_caller(manifest: Manifest) -> None:
    FakeModel(microseconds=2e6).save(manifest.artifact.path)
    predictor = Predictor(manifest)
    predictor.open()

    async def timed() -> tuple[httpx.Response, float]:
        started = time.monotonic()
        reply = await ask(predictor, timeout_s=0.2)
        return reply, time.monotonic() - started

    reply, seconds = asyncio.run(timed())
    assert reply.status_code == 504
    assert seconds < 1.5


def test_a_defect_is_not_shown(manifest: Manifest) -> None:
    predictor = Predictor(replace(manifest, answers=()))
    predictor.open()
    assert predictor.engine is not None
    predictor.engine.model = "no model at all"  # type: ignore[attr-defined]
    reply = infer(predictor)
    assert (reply.status_code, reply.json()) == (
        500,
        {"error": "the request could not be answered: the service's log has the reason"},
    )
