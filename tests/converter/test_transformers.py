"""transformers → ONNX, texts and images in, answers by name out."""

import base64
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from fdpipe.arrays import Batch, in_batches
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter.transformers import Transformers
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Converter, Processor
from fdpipe.isolation import refuse_code
from fdpipe.mlmodel import describe
from fdpipe.pretrained import token_limit
from fdpipe.processor.image import Image
from fdpipe.processor.text import Text
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of
from tests.pretrained_models import (
    LIMIT,
    PAIR,
    SENTENCES,
    TEXT,
    bert,
    copied,
    saved,
    saved_by_hand,
    tokenizer,
    with_pickled_weights,
)

TEXTS = np.array([*SENTENCES, "", "Zürich 😀 東京", "the river " * 40, "a"])
GAPS = np.array(["the [MASK] sat", "[MASK] [MASK]", "the [MASK] of the river " + "is " * 40, "what is [MASK]"])
CLASSES = {"id2label": {0: "bad", 1: "good", 2: "so so"}, "label2id": {"bad": 0, "good": 1, "so so": 2}}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> SourceModel:
    folder = tmp_path_factory.mktemp("models") / "classifier"
    return saved(folder, "text-classification", bert("ForSequenceClassification", **CLASSES), {"tokenizer": tokenizer()})


def both(
    converter: Converter, model: SourceModel, features: Batch, folder: Path, precision: Precision = Precision.FLOAT32
) -> tuple[Batch, Batch]:
    """The original's answers, and the export's, in one batch and row by row, which must be the same."""
    export = exported(converter, model, folder, precision)
    unbound: Processor = next(one for one in (Text(), Image()) if one.accepts(model))
    (folder / "processor").mkdir()
    bound = unbound.bind(model, export.inputs, folder / "processor")

    def answered(rows: Batch) -> dict[str, np.ndarray]:
        return bound.finish(ask(export.path, bound.prepare(rows)))

    together, alone = answered(features), in_batches(features, 1, answered)
    assert_alike(together, alone)
    return answers(converter, model, features), together


def assert_alike(one: Batch, other: Batch) -> None:
    """Names, shapes, words and whole numbers; floats nearly."""
    assert list(one) == list(other)
    for name, array in one.items():
        assert array.shape == other[name].shape
        if array.dtype.kind == "f":
            assert array.dtype == other[name].dtype == np.float32
            np.testing.assert_allclose(array, other[name], rtol=1e-4, atol=1e-5)
        else:
            assert array.tolist() == other[name].tolist()


class TestTransformers(ConverterContract):
    @pytest.fixture
    def converter(self) -> Transformers:
        return Transformers()

    @pytest.fixture
    def model(self, classifier: SourceModel) -> SourceModel:
        return classifier

    @pytest.fixture
    def batch(self) -> Batch:
        return {"text": TEXTS}

    def test_original_and_export_answer_alike(
        self, converter: Converter, model: SourceModel, batch: Batch, tmp_path: Path
    ) -> None:
        """With the processor: texts are no tensors."""
        original, copy = both(converter, model, batch, tmp_path)
        assert_alike(original, copy)
        assert len(set(original["label"])) > 1
        assert original["probabilities"].shape == (len(TEXTS), 3)

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "transformers") == Transformers()


def test_no_rows_have_the_shapes_of_some(classifier: SourceModel) -> None:
    found = answers(Transformers(), classifier, {"text": TEXTS[:0]})
    assert {name: array.shape for name, array in found.items()} == {"label": (0,), "probabilities": (0, 3)}


def test_in_double_precision(tmp_path: Path) -> None:
    """Not with GELU, which ONNX Runtime has in float32 only."""
    network = bert("ForSequenceClassification", hidden_act="relu", problem_type="multi_label_classification", **CLASSES)
    model = saved(tmp_path / "m", "text-classification", network, {"tokenizer": tokenizer()})
    original, copy = both(Transformers(), model, {"text": TEXTS[:4]}, tmp_path, Precision.FLOAT64)
    assert_alike(original, copy)
    assert list(original) == ["scores"]


def test_tokens_get_labels_with_their_places(tmp_path: Path) -> None:
    model = saved(tmp_path / "m", "token-classification", bert("ForTokenClassification", **CLASSES), {"tokenizer": tokenizer()})
    original, copy = both(Transformers(), model, {"text": TEXTS}, tmp_path)
    assert_alike(original, copy)
    assert original["token_label"].shape == (len(TEXTS), LIMIT)
    first = original["token_start"][0] >= 0
    places = zip(original["token_start"][0][first], original["token_end"][0][first], strict=True)
    assert "".join(SENTENCES[0][start:end] for start, end in places) == SENTENCES[0].replace(" ", "")


def test_a_gap_gets_its_best_tokens(tmp_path: Path) -> None:
    model = saved(tmp_path / "m", "fill-mask", bert("ForMaskedLM"), {"tokenizer": tokenizer()})
    original, copy = both(Transformers(), model, {"text": GAPS}, tmp_path)
    assert_alike(original, copy)
    assert original["token"].shape == original["score"].shape == (len(GAPS), 5)
    with pytest.raises(ConversionError, match=r"the original cannot answer: .*mask"):
        answers(Transformers(), model, {"text": TEXTS})


def test_questions_are_answered_from_their_contexts(tmp_path: Path) -> None:
    parts = {"tokenizer": tokenizer()}
    model = saved_by_hand(tmp_path / "m", "question-answering", bert("ForQuestionAnswering"), parts, PAIR)
    asked = {"context": np.array([*SENTENCES, "Danube " * 50]), "question": np.array(["what is", "a river"] * 4)}
    original, copy = both(Transformers(), model, asked, tmp_path)
    assert_alike(original, copy)
    assert (original["end"] > original["start"]).all()
    assert len(set(original["start"])) > 1


@pytest.mark.parametrize(("features", "name", "shape"), [("mean", "embedding", (32,)), ("tokens", "features", (LIMIT, 32))])
def test_features_of_a_text(tmp_path: Path, features: str, name: str, shape: tuple[int, ...]) -> None:
    model = saved(tmp_path / "m", "feature-extraction", bert("Model"), {"tokenizer": tokenizer()})
    original, copy = both(Transformers(features=features), model, {"text": TEXTS}, tmp_path)
    assert_alike(original, copy)
    assert original[name].shape == (len(TEXTS), *shape)


def test_images_get_classes(tmp_path: Path) -> None:
    model = saved(tmp_path / "m", "image-classification", small_vit(), {"image_processor": image_processor()}, TEXT)
    original, copy = both(Transformers(), model, {"text": np.array([picture(40, 50), picture(9, 30)])}, tmp_path)
    assert_alike(original, copy)
    assert answers(Transformers(), model, {"text": np.array([], dtype=str)})["probabilities"].shape == (0, 3)


def small_vit() -> Any:  # noqa: ANN401 - of transformers
    import torch
    import transformers

    torch.manual_seed(1)
    config = transformers.ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=20, image_size=16, patch_size=8,
        initializer_range=0.2, **CLASSES,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config).eval()


def image_processor() -> Any:  # noqa: ANN401 - of transformers
    import transformers

    return transformers.ViTImageProcessor(size={"height": 16, "width": 16})


def picture(height: int, width: int) -> str:
    from PIL import Image as Pillow

    stream = io.BytesIO()
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(stream, "PNG")
    return base64.b64encode(stream.getvalue()).decode()


def test_safetensors_hold_no_code(classifier: SourceModel) -> None:
    assert Transformers().risk(classifier) is None


def test_pickled_weights_are_code(classifier: SourceModel, tmp_path: Path) -> None:
    model = copied(classifier, tmp_path / "m")
    with_pickled_weights(model.path / "model")
    with pytest.raises(ConversionError, match=r"holds code, a pickle \(pytorch_model.bin\).*source.trust=tiny"):
        refuse_code(Transformers(), model)
    trusted = describe(ref_of(model.path), model.path, trusted=True)
    features = {"text": TEXTS[:2]}
    assert_alike(answers(Transformers(), trusted, features), answers(Transformers(), classifier, features))


@pytest.mark.parametrize("file", ["model/config.json", "components/tokenizer/tokenizer_config.json"])
def test_classes_of_its_own_are_code(classifier: SourceModel, tmp_path: Path, file: str) -> None:
    model = copied(classifier, tmp_path / "m")
    planted(model, file, auto_map={"AutoModel": "evil.Evil"})
    (model.path / Path(file).parent / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(ConversionError, match=f"classes of its own .auto_map in {Path(file).name}."):
        refuse_code(Transformers(), model)
    assert not (tmp_path / "ran").exists()


def planted(model: SourceModel, file: str, **settings: Any) -> None:  # noqa: ANN401
    path = model.path / file
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


def described_as(model: SourceModel, folder: Path, settings: Mapping[str, Any]) -> SourceModel:
    """A copy whose MLmodel file says something else of it."""
    found = copied(model, folder)
    path = found.path / "MLmodel"
    described = yaml.safe_load(path.read_text())
    described["flavors"]["transformers"] |= settings
    path.write_text(yaml.safe_dump(described))
    return describe(ref_of(folder), folder)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"task": "text-generation"}, "models that generate step by step are not converted"),
        ({"task": "translation_en_to_fr"}, "tiny is for translation_en_to_fr: models that generate"),
        ({"task": "zero-shot-classification"}, "those that can be converted are text-classification, token-classification"),
        ({"pipeline_model_type": "MyBert"}, "tiny is a 'MyBert', which transformers .* does not have"),
        ({"pipeline_model_type": "pipeline"}, "tiny is a 'pipeline', which"),
        ({"model_binary": "../../elsewhere"}, "which lies outside of its own folder"),
        ({"model_binary": "nowhere"}, "it has no folder nowhere: log it with save_pretrained=True"),
        ({"model_binary": "nowhere", "source_model_revision": "abc"}, "its weights are elsewhere: log it with"),
    ],
)
def test_what_cannot_be_loaded_is_one_clear_line(
    classifier: SourceModel, tmp_path: Path, settings: Mapping[str, Any], told: str
) -> None:
    with pytest.raises(ConversionError, match=told) as caught:
        Transformers().load(described_as(classifier, tmp_path / "m", settings))
    assert "\n" not in str(caught.value)


def test_an_adapter_is_told(classifier: SourceModel, tmp_path: Path) -> None:
    model = copied(classifier, tmp_path / "m")
    (model.path / "model" / "adapter_config.json").write_text("{}")
    with pytest.raises(ConversionError, match=r"tiny is an adapter: merge it \(merge_and_unload\)"):
        Transformers().load(model)


def test_weights_outside_of_the_folder_are_told(classifier: SourceModel, tmp_path: Path) -> None:
    model = copied(classifier, tmp_path / "m")
    index = {"weight_map": {"a": "model.safetensors", "b": "../../model.safetensors"}}
    (model.path / "model" / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(
        ConversionError, match=r"index.json of tiny names '../../model.safetensors', which is no file beside it"
    ):
        Transformers().load(model)


def test_the_oldest_folders_have_another_name(classifier: SourceModel, tmp_path: Path) -> None:
    model = described_as(classifier, tmp_path / "m", {"model_binary": "pipeline"})
    (model.path / "model").rename(model.path / "pipeline")
    path = model.path / "MLmodel"
    path.write_text(path.read_text().replace("    model_binary: pipeline\n", ""))
    assert Transformers().load(model).network.config.model_type == "bert"


def test_tokens_have_a_width_where_the_model_has_no_limit(classifier: SourceModel, tmp_path: Path) -> None:
    model = described_as(classifier, tmp_path / "m", {"task": "token-classification"})
    planted(model, "model/config.json", model_type="t5")
    planted(model, "components/tokenizer/tokenizer_config.json", model_max_length=int(1e30))
    assert token_limit(model) == 512
    assert token_limit(described_as(model, tmp_path / "n", {"task": "text-classification"})) == 0


@pytest.mark.parametrize("file", ["model/model.safetensors", "model/config.json", "components/tokenizer/tokenizer.json"])
def test_a_broken_file_is_told(classifier: SourceModel, tmp_path: Path, file: str) -> None:
    model = copied(classifier, tmp_path / "m")
    (model.path / file).write_bytes(b"\xff{")
    with pytest.raises(ConversionError, match=r"cannot (load|be read)"):
        Transformers().load(model)


def test_other_features_are_no_choice() -> None:
    with pytest.raises(ValueError, match="features must be one of first, mean, tokens, got 'last'"):
        Transformers(features="last")
