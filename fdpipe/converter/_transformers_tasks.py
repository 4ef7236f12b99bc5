"""What each task asks of a Hugging Face network, as a torch module whose inputs and outputs are the graph's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdpipe import graphs
from fdpipe.artifacts import Precision, Task
from fdpipe.converter._torch_export import export
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.interfaces import Export

if TYPE_CHECKING:
    import torch

Tensors = Mapping[str, "torch.Tensor"]

ROWS, SEQUENCE = "rows", "sequence"

NETWORK_INPUTS = ("input_ids", "attention_mask", "token_type_ids", "pixel_values")

EXAMPLE_TOKENS = 16

LONGEST_ANSWER = 15
"""Tokens that an answer to a question has at most, as in transformers' pipeline."""

BEST = 5
"""So many tokens are proposed for a gap, as in transformers' pipeline."""

EMPTY = -1
"""What a token outside of the text has for a label and a place."""


@dataclass(frozen=True, kw_only=True)
class Question:
    """A task: the names of the outputs, what makes these of the network's own and of the graph's inputs, and the inputs
    that are needed beside the network's."""

    outputs: tuple[str, ...]
    answer: Callable[[Any, Tensors, int], tuple["torch.Tensor", ...]]
    beside: tuple[str, ...] = ()


def export_task(
    network: "torch.nn.Module",
    task: str,
    inputs: Tensors,
    path: Path,
    precision: Precision = Precision.FLOAT32,
    *,
    kind: Task = Task.TENSORS,
    gap: int = 0,
    axes: Mapping[int, str] | None = None,
) -> Export:
    """Write the network (in eval mode) with what the task makes of it to `path`.

    `inputs` are examples of what the network takes, two rows or more; `axes` the words of those of their axes that may
    change, rows and sequence unless they are named. `gap` is the number of the token that stands for a missing word.
    """
    question = QUESTIONS[task]
    words = dict(axes or {0: ROWS, 1: SEQUENCE})
    given = dict(inputs) | _beside(inputs, question.beside)
    module = asked(network, question, gap, precision)
    if precision is Precision.FLOAT64:
        given = {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in given.items()}
    try:
        export(module, given, question.outputs, dict.fromkeys(given, words), path)
    except ConversionError as error:
        if precision is Precision.FLOAT64:
            raise NotApplicable(f"it has no export in float64: {error}") from error
        raise
    found, answered = graphs.specs(path)
    return Export(path=path, task=kind, inputs=found, outputs=answered)


def asked(
    network: "torch.nn.Module", question: Question, gap: int = 0, precision: Precision = Precision.FLOAT32
) -> "torch.nn.Module":
    """The network with the task's question behind it; floats come out as float32, whatever they were inside."""
    import copy

    import torch

    inside = copy.deepcopy(network).double() if precision is Precision.FLOAT64 else network

    class Asked(torch.nn.Module):  # type: ignore[misc]
        """One module for all tasks: torch looks at the names of `forward`'s arguments."""

        def __init__(self) -> None:
            super().__init__()
            self.inside = inside
            self.original_name = type(network).__name__

        def forward(
            self,
            input_ids: Any = None,  # noqa: ANN401 - tensors, if there are some
            attention_mask: Any = None,  # noqa: ANN401
            token_type_ids: Any = None,  # noqa: ANN401
            pixel_values: Any = None,  # noqa: ANN401
            place_start: Any = None,  # noqa: ANN401
            place_end: Any = None,  # noqa: ANN401
            word_start: Any = None,  # noqa: ANN401
            word_end: Any = None,  # noqa: ANN401
            answerable: Any = None,  # noqa: ANN401
        ) -> Any:  # noqa: ANN401
            given = {
                name: tensor
                for name, tensor in {
                    "input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids,
                    "pixel_values": pixel_values, "place_start": place_start, "place_end": place_end,
                    "word_start": word_start, "word_end": word_end, "answerable": answerable,
                }.items()
                if tensor is not None
            }  # fmt: skip
            output = self.inside(**{name: given[name] for name in NETWORK_INPUTS if name in given}, return_dict=True)
            answers = question.answer(output, given, gap)
            return tuple(answer.float() if answer.is_floating_point() else answer for answer in answers)

    return Asked().eval()


def example_length(limit: int) -> int:
    """So many tokens stand in an example, where the network takes `limit` at most (0: any number): the export is also tried
    with twice as many."""
    return max(2, min(EXAMPLE_TOKENS, limit // 2)) if limit else EXAMPLE_TOKENS


def example_tokens(vocabulary: int, length: int, names: Sequence[str], gap: int = 0) -> dict[str, "torch.Tensor"]:
    """Two rows of tokens for an export, the second one padded; `gap` stands at the second place."""
    import torch

    numbers = torch.arange(2 * length).reshape(2, length) % max(1, vocabulary - 1) + 1
    numbers[:, 1] = gap or numbers[:, 1]
    mask = torch.ones_like(numbers)
    mask[1, length - length // 4 :] = 0
    found = {"input_ids": numbers, "attention_mask": mask, "token_type_ids": torch.zeros_like(numbers)}
    return {name: found[name] for name in names}


def _beside(inputs: Tensors, names: Sequence[str]) -> dict[str, "torch.Tensor"]:
    """Examples of what the processor knows of tokens."""
    import torch

    tokens = inputs.get("input_ids")
    places = torch.zeros(0) if tokens is None else torch.arange(tokens.shape[1]).expand(tokens.shape).clone()
    return {name: 2 * torch.ones_like(places) if name == "answerable" else places.clone() for name in names}


def _logits(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    return (output.logits,)


def _first_token(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    """What stands for the whole text in a network like BERT, and what MLflow's pyfunc answers."""
    return (output[0][:, 0],)


def _mean_of_tokens(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    mask = inputs["attention_mask"].unsqueeze(-1).to(output[0].dtype)
    return ((output[0] * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1e-9),)


def _every_token(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    """0 where the padding is."""
    return (output[0] * inputs["attention_mask"].unsqueeze(-1).to(output[0].dtype),)


def _labels_by_token(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    """The label's number, its probability and the place of every token of the text."""
    import torch

    best = output.logits.softmax(dim=-1).max(dim=-1)
    start, end = inputs["place_start"], inputs["place_end"]
    is_text = start >= 0
    nowhere = torch.full_like(start, EMPTY)
    label, first, last = (torch.where(is_text, found, nowhere) for found in (best.indices, start, end))
    return label, torch.where(is_text, best.values, torch.zeros_like(best.values)), first, last


def _gap(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    """The best tokens for the first gap of a text, with their probabilities."""
    import torch

    place = (inputs["input_ids"] == gap).to(torch.int32).argmax(dim=1)
    there = place.reshape(-1, 1, 1).expand(-1, 1, output.logits.shape[-1])
    logits = torch.gather(output.logits, 1, there).squeeze(1)
    best = logits.softmax(dim=-1).topk(min(BEST, logits.shape[-1]))
    return best.indices, best.values


def _span(output: Any, inputs: Tensors, gap: int) -> tuple["torch.Tensor", ...]:  # noqa: ANN401
    """Where the best answer starts and ends in the context, and its probability, as in transformers 4's pipeline: the first
    token of all counts in the two softmaxes, and is no answer. (The last of those pipelines cut a long context into windows
    and added up what different spans of tokens gave the same words; this does neither.)"""
    import torch

    allowed = inputs["answerable"]
    start, end = (
        torch.where(allowed > 0, logits, -10000.0).softmax(dim=-1) * (allowed > 1)
        for logits in (output.start_logits, output.end_logits)
    )
    length = start.shape[1]
    after = torch.nn.functional.pad(end, (0, LONGEST_ANSWER))
    ends = torch.stack([after[:, tokens : tokens + length] for tokens in range(LONGEST_ANSWER)], dim=-1)
    best = (start.unsqueeze(-1) * ends).flatten(1).max(dim=1)
    first = best.indices // LONGEST_ANSWER
    last = first + best.indices % LONGEST_ANSWER
    places = (inputs[name].gather(1, at.unsqueeze(1)).squeeze(1) for name, at in (("word_start", first), ("word_end", last)))
    return (*places, best.values)


TOKEN_OUTPUTS = ("token_label", "token_score", "token_start", "token_end")

QUESTIONS: Mapping[str, Question] = {
    "text-classification": Question(outputs=("logits",), answer=_logits),
    "image-classification": Question(outputs=("logits",), answer=_logits),
    "token-classification": Question(outputs=TOKEN_OUTPUTS, answer=_labels_by_token, beside=("place_start", "place_end")),
    "fill-mask": Question(outputs=("token", "score"), answer=_gap),
    "question-answering": Question(
        outputs=("start", "end", "score"), answer=_span, beside=("word_start", "word_end", "answerable")
    ),
    "features-first": Question(outputs=("embedding",), answer=_first_token),
    "features-mean": Question(outputs=("embedding",), answer=_mean_of_tokens),
    "features-tokens": Question(outputs=("features",), answer=_every_token),
}
"""By task; the features of a text may be those of its first token, the mean of all, or those of each."""
