"""Networks of transformers that cannot be exported as they are, in other words that mean the same."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch


LAST_TOKEN_FIRST = ("mbart", "plbart")
"""Types of models whose decoder begins with the last token of the text, its language, and not with one of its own."""


@contextmanager
def exportable(network: Any) -> Iterator[Any]:  # noqa: ANN401 - a PreTrainedModel
    """The network, or one of the same weights: classifiers with encoder and decoder (BART, T5 and their relatives) take what
    stands at a text's last end token by a selection whose size depends on the texts. A mixture of experts asks them all in
    one product meanwhile, since asking each for its own tokens is no graph, either."""
    experts = getattr(network.config, "_experts_implementation", None)
    mixes = hasattr(network, "set_experts_implementation") and any(hasattr(part, "num_experts") for part in network.modules())
    body = getattr(network, "model", None) or getattr(network, "transformer", None)
    classifies = getattr(network.config, "is_encoder_decoder", False) and hasattr(network, "classification_head")
    if mixes:
        network.set_experts_implementation("batched_mm")
    try:
        yield _classifies_last_end(network, body) if classifies and body is not None else network
    finally:
        if mixes:
            network.set_experts_implementation(experts)


def _classifies_last_end(network: Any, body: Any) -> "torch.nn.Module":  # noqa: ANN401 - a PreTrainedModel
    import torch
    from transformers.modeling_outputs import SequenceClassifierOutput

    settings = network.config

    class ClassifiesLastEnd(torch.nn.Module):  # type: ignore[misc]
        """The same classifier, with the place of the last end token counted."""

        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = body, network.classification_head

        def forward(self, input_ids: Any, attention_mask: Any = None, return_dict: bool = True) -> Any:  # noqa: ANN401
            if settings.model_type in LAST_TOKEN_FIRST:
                start = torch.gather(input_ids, 1, input_ids.ne(settings.pad_token_id).sum(dim=1, keepdim=True) - 1)
            else:
                start = torch.full_like(input_ids[:, :1], settings.decoder_start_token_id)
            hidden = self.body(
                input_ids=input_ids,
                attention_mask=attention_mask,
                decoder_input_ids=torch.cat([start, input_ids[:, :-1]], dim=1),
                use_cache=False,
            )[0]
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            last = (input_ids.eq(settings.eos_token_id).to(places.dtype) * places).amax(dim=1)
            there = last.reshape(-1, 1, 1).expand(-1, 1, hidden.shape[-1])
            return SequenceClassifierOutput(logits=self.head(torch.gather(hidden, 1, there).squeeze(1)))

    ClassifiesLastEnd.__name__ = type(network).__name__
    return ClassifiesLastEnd()
