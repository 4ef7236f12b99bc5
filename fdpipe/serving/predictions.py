"""Answers → the `predictions` of KServe's V1 and of MLflow's protocol, which know one answer a row."""

from typing import Any

from fdpipe.arrays import Batch
from fdpipe.interfaces import Processor
from fdpipe.serving import codec, media


class Predictions:
    """As MLflow gives them for the same model: a classifier's labels, a regressor's values, of raw texts and images the label
    with its probability (`score`). Another only answer stands for itself, and several are given by name."""

    def __init__(self, processor: Processor) -> None:
        self._scores = bool(media.media_types(processor))

    def of(self, answers: Batch, *, by_row: bool = False) -> Any:  # noqa: ANN401 - JSON
        """A list with an element for each row; of several answers an object by name, or `by_row` a list of objects. Refused
        where a number is not finite."""
        if "label" in answers:
            if self._scores and "probabilities" in answers:
                labels, best = answers["label"], answers["probabilities"].max(axis=-1)
                return _rows(codec.listed({"label": labels, "score": best}))
            return codec.listed({"label": answers["label"]})["label"]
        if "value" in answers:
            values = answers["value"]
            flat = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
            return codec.listed({"value": flat})["value"]
        listed = codec.listed(answers)
        if len(listed) == 1:
            return next(iter(listed.values()))
        return _rows(listed) if by_row else listed


def _rows(listed: dict[str, list[Any]]) -> list[dict[str, Any]]:
    return [dict(zip(listed, row, strict=True)) for row in zip(*listed.values(), strict=True)]
