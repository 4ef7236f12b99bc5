"""Texts → tokens, by the model's own tokenizer file."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from fdpipe import workers
from fdpipe.artifacts import SourceModel, TensorSpec, WorkerSpec
from fdpipe.errors import ConversionError
from fdpipe.interfaces import Processor
from fdpipe.processor.none import Plain
from fdpipe.processor.tabular import Tabular
from fdpipe.processor.text import Text
from tests.contracts.processor import ProcessorContract
from tests.contracts.settings import built
from tests.pretrained_models import INPUTS, LIMIT, PAIR, TEXT, bert, saved, saved_by_hand, tokenizer


def specs(*names: str) -> tuple[TensorSpec, ...]:
    return tuple(TensorSpec(name=name, dtype="int64", shape=("rows", "sequence")) for name in names)


def bound_to(model: SourceModel, folder: Path, *names: str) -> Text:
    folder.mkdir(exist_ok=True)
    return Text().bind(model, specs(*(names or INPUTS)), folder)


@pytest.fixture
def model(tmp_path: Path) -> SourceModel:
    labels = {"id2label": {0: "bad", 1: "good", 2: "so so"}, "label2id": {"bad": 0, "good": 1, "so so": 2}}
    parts = {"tokenizer": tokenizer()}
    return saved(tmp_path / "model", "text-classification", bert("ForSequenceClassification", **labels), parts)


@pytest.fixture
def bound(model: SourceModel, tmp_path: Path) -> Text:
    return bound_to(model, tmp_path / "processor")


class TestText(ProcessorContract):
    @pytest.fixture
    def processor(self) -> Text:
        return Text()

    @pytest.fixture
    def records(self) -> dict[str, np.ndarray]:
        return {"text": np.array(["the cat sat", "the mat sat", "on the river"])}

    @pytest.fixture
    def tensors(self, records: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = tokenizer()(records["text"].tolist(), return_tensors="np")
        return {name: found[name] for name in INPUTS}

    def test_accepts_its_own_kind_of_inputs(self, processor: Processor, model: SourceModel) -> None:
        """Columns or a tensor: it is the flavour and the task that count."""
        for found in (model, replace(model, columns=False)):
            assert [kind.accepts(found) for kind in (processor, Plain(), Tabular())] == [True, False, False]
        assert not processor.accepts(replace(model, flavour="sklearn"))

    def test_is_made_again_from_json_when_bound(self, bound: Processor) -> None:
        assert isinstance(bound, Text)
        text = msgspec.json.encode(workers.spec("processor", bound))
        spec = replace(msgspec.json.decode(text, type=WorkerSpec), folder=bound.folder)
        assert workers.build_spec(spec) == bound

    def test_needs_tokenizers_alone_where_it_serves(self, bound: Text) -> None:
        code = (
            "import sys, numpy as np; from pathlib import Path; from fdpipe.processor.text import Text;"
            f"bound = Text(folder=Path({str(bound.folder)!r}), names=('text',), tensors={bound.tensors!r});"
            "bound.prepare({'text': np.array(['a'])}); sys.stdout.write(' '.join(sys.modules))"
        )
        loaded = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
        assert "tokenizers" in loaded
        assert not {"torch", "transformers", "pandas", "mlflow", "yaml"} & set(loaded)

    def test_its_file_is_the_default(self) -> None:
        assert built("processor", "text") == Text()


def test_rows_are_padded_to_the_longest_and_cut_at_the_models_limit(bound: Text) -> None:
    texts = ["", "the cat", "the river " * 40, "Zürich 😀 東京"]
    found, wanted = bound.prepare({"text": np.array(texts)}), tokenizer()(texts, padding=True, truncation=True)
    assert found["input_ids"].shape == (4, LIMIT)
    assert {name: array.tolist() for name, array in found.items()} == {name: wanted[name] for name in INPUTS}


def test_threads_share_it(bound: Text) -> None:
    texts = [["the cat"], ["the river " * 8], ["a"], ["what is the name"]] * 8
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda rows: bound.prepare({"text": np.array(rows)})["input_ids"].tolist(), texts))
    assert found == [tokenizer()(rows)["input_ids"] for rows in texts]


def test_a_pair_has_two_types(tmp_path: Path) -> None:
    model = saved(tmp_path / "m", "text-classification", bert("ForSequenceClassification"), {"tokenizer": tokenizer()}, PAIR)
    one, other = ["the cat", "a"], ["the river is", "the mat " * 20]
    found = bound_to(model, tmp_path / "p").prepare({"question": np.array(other), "context": np.array(one)})
    wanted = tokenizer()(one, other, padding=True, truncation=True)
    assert {name: array.tolist() for name, array in found.items()} == {name: wanted[name] for name in INPUTS}


@pytest.fixture
def asking(tmp_path: Path) -> SourceModel:
    return saved_by_hand(
        tmp_path / "asking", "question-answering", bert("ForQuestionAnswering"), {"tokenizer": tokenizer()}, PAIR
    )


def test_a_question_leaves_the_context_to_be_cut_and_answered(asking: SourceModel, tmp_path: Path) -> None:
    bound = bound_to(asking, tmp_path / "p", "input_ids", "answerable", "word_start", "word_end")
    found = bound.prepare({"question": np.array(["what cat"]), "context": np.array(["the mattress " * 20])})
    tokens = tokenizer()("what cat", "the mattress " * 20, truncation="only_second")
    assert found["input_ids"].tolist() == [tokens["input_ids"]]
    sides = tokens.sequence_ids(0)
    assert found["answerable"][0].tolist() == [1, *(2 if side == 1 else 0 for side in sides[1:])]
    words = dict(zip(found["word_start"][0].tolist(), found["word_end"][0].tolist(), strict=True))
    assert words.pop(-1) == -1
    assert words.items() >= {(0, 3), (4, 12), (13, 16)}
    with pytest.raises(ValueError, match="does not take question and context: Truncation error"):
        bound.prepare({"question": np.array(["the cat " * 40]), "context": np.array(["a"])})


def test_a_gap_must_be_there(tmp_path: Path) -> None:
    model = saved(tmp_path / "m", "fill-mask", bert("ForMaskedLM"), {"tokenizer": tokenizer()})
    bound = bound_to(model, tmp_path / "p")
    with pytest.raises(ValueError, match=r"text\[1\] has no \[MASK\], which stands for the word to be found"):
        bound.prepare({"text": np.array(["the [MASK]", "the cat"])})
    found = bound.finish({"token": np.array([[5, 6]]), "score": np.array([[0.5, 0.25]], np.float32)})
    assert found["token"].tolist() == [[tokenizer().decode([5]), tokenizer().decode([6])]]


def test_labels_of_tokens_are_as_wide_as_the_longest_text(tmp_path: Path) -> None:
    labels = {"id2label": {0: "O", 1: "CITY"}, "label2id": {"O": 0, "CITY": 1}}
    model = saved(tmp_path / "m", "token-classification", bert("ForTokenClassification", **labels), {"tokenizer": tokenizer()})
    bound = bound_to(model, tmp_path / "p", *INPUTS, "place_start", "place_end")
    assert bound.prepare({"text": np.array(["the cat"])})["place_end"].tolist() == [[-1, 3, 7, -1]]
    outputs = {
        "token_label": np.array([[-1, 1, 0]]),
        "token_score": np.array([[0, 0.9, 0.8]]),
        "token_end": np.array([[-1, 3, 7]]),
    }
    found = bound.finish(outputs)
    assert found["token_label"].tolist() == [["", "CITY", "O", *[""] * (LIMIT - 3)]]
    assert found["token_score"].tolist() == [[0, 0.9, 0.8, *[0] * (LIMIT - 3)]]
    assert found["token_end"].tolist() == [[-1, 3, 7, *[-1] * (LIMIT - 3)]]


@pytest.mark.parametrize(
    ("problem", "answers"),
    [(None, ["label", "probabilities"]), ("multi_label_classification", ["scores"]), ("regression", ["value"])],
)
def test_logits_become_what_the_problem_is(model: SourceModel, tmp_path: Path, problem: str | None, answers: list[str]) -> None:
    path = model.path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"problem_type": problem}))
    found = bound_to(model, tmp_path / "p").finish({"logits": np.array([[0.0, 2.0, 1.0]])})
    assert list(found) == answers
    assert found.get("label", np.array(["good"])).tolist() == ["good"]


def test_an_original_that_is_served_as_it_is_gets_its_texts(model: SourceModel, tmp_path: Path) -> None:
    inputs = (TensorSpec(name="text", dtype="string", shape=("rows", 1)),)
    bound = Text().bind(model, inputs, tmp_path)
    assert bound.prepare({"text": np.array(["a", ""])})["text"].tolist() == [["a"], [""]]
    assert bound.folder is None


def without_file(model: SourceModel) -> None:
    (model.path / "components" / "tokenizer" / "tokenizer.json").unlink()


def without_padding(model: SourceModel) -> None:
    changed(model, "tokenizer_config.json", pad_token="[NONE]")


def broken(model: SourceModel) -> None:
    (model.path / "components" / "tokenizer" / "tokenizer.json").write_text('{"model": [')


def changed(model: SourceModel, name: str, **settings: Any) -> None:  # noqa: ANN401
    path = model.path / "components" / "tokenizer" / name
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without_file, "tiny has no tokenizer.json: open its tokenizer with AutoTokenizer.*use_fast=True"),
        (without_padding, r"tokenizer.json of tiny does not have the token for padding, '\[NONE\]'"),
        (broken, "tokenizer.json cannot be read"),
    ],
)
def test_a_tokenizer_that_is_none_is_told(model: SourceModel, tmp_path: Path, change: Any, told: str) -> None:  # noqa: ANN401
    change(model)
    with pytest.raises(ConversionError, match=told) as caught:
        bound_to(model, tmp_path / "p")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([], "tiny has no signature"),
        ([{"name": "n", "type": "double"}], "takes 'n' as float64: texts must be strings"),
        ([*TEXT, *PAIR], "has 3 inputs, text, context, question: there must be one text, or two that are a pair"),
    ],
)
def test_a_signature_that_does_not_fit_is_told(tmp_path: Path, inputs: Any, told: str) -> None:  # noqa: ANN401
    model = saved_by_hand(
        tmp_path / "m", "text-classification", bert("ForSequenceClassification"), {"tokenizer": tokenizer()}, inputs
    )
    with pytest.raises(ConversionError, match=told):
        bound_to(model, tmp_path / "p")


def test_an_input_that_no_tokenizer_gives_is_told(model: SourceModel, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="the graph has an input 'pixel_values': of a text there are input_ids"):
        bound_to(model, tmp_path / "p", "pixel_values")


def test_a_column_of_texts_has_one_a_row(bound: Text) -> None:
    assert bound.prepare({"text": np.array([["a"], ["b"]])})["input_ids"].shape == (2, 3)
    with pytest.raises(ValueError, match="text must have one text a row"):
        bound.prepare({"text": np.array([["a", "b"]])})
    with pytest.raises(ValueError, match="text must be string, got int64"):
        bound.prepare({"text": np.array([1])})


@pytest.mark.parametrize(
    ("config", "tokens", "limit"),
    [
        ({}, {}, LIMIT),
        ({"max_position_embeddings": 20}, {}, 20),
        ({"model_type": "roberta", "max_position_embeddings": 22, "pad_token_id": 1}, {}, 20),
        ({"model_type": "t5", "max_position_embeddings": 8}, {}, LIMIT),
        ({"model_type": "t5"}, {"model_max_length": 1000000000000000019884624838656}, 0),
        ({"max_position_embeddings": None, "n_positions": 9}, {"model_max_length": 1e30}, 9),
    ],
)
def test_the_limit_is_the_smallest(model: SourceModel, tmp_path: Path, config: Any, tokens: Any, limit: int) -> None:  # noqa: ANN401
    changed(model, "tokenizer_config.json", **tokens)
    path = model.path / "model" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | config))
    bound = bound_to(model, tmp_path / "p", "input_ids")
    assert bound.width == limit
    assert bound.prepare({"text": np.array(["the river " * 40])})["input_ids"].shape == (1, limit or 82)
