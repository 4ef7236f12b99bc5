"""The one path from records to answers, whatever protocol they came by: prepare → run → finish, as in the evaluation."""

import logging
import os
from dataclasses import dataclass

import anyio.to_thread
import numpy as np
from anyio import CapacityLimiter

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Manifest
from fdpipe.errors import OriginalLost, StageError
from fdpipe.interfaces import Engine, Processor, Runtime
from fdpipe.serving.refusal import Refusal

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a request's records became."""

    records: Batch
    tensors: Batch
    answers: dict[str, np.ndarray]


class Predictor:
    """The release. Once opened, its engine runs in threads, as many at a time as there are cores."""

    def __init__(self, manifest: Manifest) -> None:
        self.manifest = manifest
        self.processor: Processor = workers.build_spec(manifest.processor)
        self.runtime: Runtime = workers.build_spec(manifest.runtime)
        self.engine: Engine | None = None
        self._limiter = CapacityLimiter(len(os.sched_getaffinity(0)))

    @property
    def batchable(self) -> bool:
        """Whether rows of several requests may be computed together. Where not, `predict` is to be given the records of one
        request and no others, as it is now: nothing here joins requests."""
        return self.manifest.batchable

    def open(self) -> None:
        """Load the model with exactly the session settings that were measured."""
        self.engine = self.runtime.open(self.manifest.artifact, self.manifest.candidate.session)

    def close(self) -> None:
        """Give the engine back."""
        if self.engine is not None:
            self.engine.close()
            self.engine = None

    async def predict(self, records: Batch) -> Prediction:
        """The answers to checked records; `Refusal` for what the processor does not take."""
        if self.engine is None:
            raise Refusal("the model is not loaded", status=503, kind="not_ready")
        return await anyio.to_thread.run_sync(
            self._predict, self.engine, records, limiter=self._limiter, abandon_on_cancel=True
        )

    def _predict(self, engine: Engine, records: Batch) -> Prediction:
        try:
            tensors = self.processor.prepare(records)
        except ValueError as error:
            raise Refusal(str(error)) from error
        try:
            outputs = engine.run(tensors)
        except OriginalLost as error:
            log.error("%s", error)  # its last lines are nobody's but the operator's
            raise Refusal(
                "the model's process was lost, the next request starts another", status=503, kind="original_lost"
            ) from error
        except StageError as error:
            raise Refusal(f"the model cannot answer these inputs: {error}", status=422, kind="not_answerable") from error
        return Prediction(records=records, tensors=tensors, answers=self.processor.finish(outputs))
