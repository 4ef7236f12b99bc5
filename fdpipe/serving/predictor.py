"""The one path from records to answers, whatever protocol they came by: prepare → run → finish, as in the evaluation."""

import logging

from fdpipe import workers
from fdpipe.arrays import Batch
from fdpipe.artifacts import Manifest
from fdpipe.errors import OriginalLost, StageError
from fdpipe.interfaces import Engine, Processor, Runtime
from fdpipe.serving import media
from fdpipe.serving.batcher import Batcher
from fdpipe.serving.cache import Cache
from fdpipe.serving.call import Call, Prediction
from fdpipe.serving.refusal import Refusal
from fdpipe.serving.shared import Shared

log = logging.getLogger(__name__)


class Predictor:
    """The release. Once opened it answers records: those of several requests together, where the release is batchable. Where
    answers are kept, they are `shared`, if that is given."""

    def __init__(self, manifest: Manifest, shared: Shared | None = None) -> None:
        self.processor: Processor = workers.build_spec(manifest.processor)
        self.manifest = media.described(manifest, self.processor)
        self.runtime: Runtime = workers.build_spec(manifest.runtime)
        self.engine: Engine | None = None
        self._batcher = Batcher(self._computed, manifest.traffic, batchable=manifest.batchable)
        mib = manifest.traffic.cache_mib
        self._cache = Cache(self._batcher.predict, manifest.digest, mib, shared) if mib else None

    def open(self) -> None:
        """Load the model with exactly the session settings that were measured."""
        self.engine = self.runtime.open(self.manifest.artifact, self.manifest.candidate.session)

    def close(self) -> None:
        """Let what is being computed end, and give the engine back."""
        self._batcher.close()
        if self.engine is not None:
            self.engine.close()
            self.engine = None

    def admit(self, deadline: float) -> None:
        """`Refusal` where a request that has just come would not be answered by the deadline; kept answers take no time."""
        if not self.manifest.traffic.cache_mib:
            self._batcher.admit(deadline)

    async def predict(self, records: Batch, call: Call) -> Prediction:
        """The answers to checked records, noted in the call; `Refusal` for what the processor does not take."""
        if self.engine is None:
            raise Refusal("the model is not loaded", status=503, kind="not_ready")
        if self._cache is not None:
            call.prediction = await self._cache.predict(records, call)
        else:
            call.prediction = await self._batcher.predict(records, call.deadline)
        return call.prediction

    def _computed(self, records: Batch) -> Prediction:
        engine = self.engine
        if engine is None:
            raise Refusal("the service is ending", status=503, kind="not_ready")
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
