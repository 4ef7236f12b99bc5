"""Networks in other words: the same answers as their own."""

from typing import Any

import pytest

from bench.small_models import ARCHITECTURES, LABELS, SMALL
from fdpipe.converter._transformers_heads import exportable

transformers = pytest.importorskip("transformers", reason="needs the extra `transformers`")
torch = pytest.importorskip("torch", reason="needs the extra `transformers`")


def network_of(model_type: str) -> Any:  # noqa: ANN401 - of transformers
    """A small classifier of texts with random weights."""
    plain = transformers.AutoConfig.for_model(model_type)
    settings = {name: value for name, value in SMALL.items() if name in plain.to_dict()} | dict(
        ARCHITECTURES[model_type].settings
    )
    settings |= {"id2label": LABELS, "pad_token_id": 1, "eos_token_id": 2, "bos_token_id": 0}
    torch.manual_seed(0)
    return transformers.AutoModelForSequenceClassification.from_config(type(plain)(**settings)).eval()


TOKENS = [[0, 20, 30, 40, 2], [0, 50, 2, 1, 1]]
"""Two texts, the second one padded."""


@pytest.mark.parametrize("model_type", ["bart", "mbart", "mvp", "plbart", "t5", "mixtral", "bert"])
def test_the_answers_are_the_same(model_type: str) -> None:
    network = network_of(model_type)
    given = {"input_ids": torch.tensor(TOKENS), "attention_mask": torch.tensor(TOKENS).ne(1).long()}
    with torch.inference_mode():
        own = network(**given).logits
        with exportable(network) as other:
            torch.testing.assert_close(other(**given, return_dict=True).logits, own)
    assert type(other).__name__ == type(network).__name__
    assert (other is network) == (model_type in ("mixtral", "bert"))


def test_experts_are_asked_as_before_when_it_is_over() -> None:
    network = network_of("mixtral")
    before = network.config._experts_implementation
    with exportable(network):
        assert network.config._experts_implementation == "batched_mm"
    assert network.config._experts_implementation == before
