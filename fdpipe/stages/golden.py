"""golden: a release's requests with known answers, which its service is asked for the proof."""

from contextlib import closing

import numpy as np

from fdpipe import workers
from fdpipe.arrays import Batch, fit, in_batches, take
from fdpipe.artifacts import GOLDEN_ANSWER, GOLDEN_INPUT, GOLDEN_TOGETHER, Baseline, Data, SourceModel, Trial
from fdpipe.errors import StageError
from fdpipe.interfaces import Processor, Runtime


def golden_rows(
    count: int, runtime: Runtime, model: SourceModel, baseline: Baseline, chosen: Trial, data: Data, batchable: bool
) -> dict[str, np.ndarray]:
    """The first evaluation rows, in the dtypes that callers use, and what the candidate answered to them; of one that could
    not be run, what the original did; of one whose answers depend on the request, those to each row alone and to all."""
    rows = slice(0, count)
    features = take(data.evaluation.load().features, rows)
    known = chosen.evaluation.answers if chosen.evaluation else baseline.reference
    answers, together = take(known.load(), rows), dict[str, np.ndarray]()
    try:
        inputs = {spec.name: fit(features[spec.name], spec.dtype, spec.name) for spec in model.inputs}
    except (KeyError, ValueError) as error:
        raise StageError(f"the evaluation rows do not fit the model's signature: {error}") from error
    if not batchable:
        answers, together = _by_request(runtime, chosen, workers.build_spec(baseline.processor), features)
    return {
        prefix + name: array
        for prefix, arrays in ((GOLDEN_INPUT, inputs), (GOLDEN_ANSWER, answers), (GOLDEN_TOGETHER, together))
        for name, array in arrays.items()
    }


def _by_request(
    runtime: Runtime, chosen: Trial, processor: Processor, features: Batch
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The answers to each row in a request of its own, and to all rows in one."""
    if chosen.artifact is None:
        raise StageError(f"{chosen.candidate.name} has no model to ask: {chosen.reason}")
    with closing(runtime.open(chosen.artifact, chosen.candidate.session)) as engine:
        alone = in_batches(features, 1, lambda records: processor.finish(engine.run(processor.prepare(records))))
        return alone, processor.finish(engine.run(processor.prepare(features)))
