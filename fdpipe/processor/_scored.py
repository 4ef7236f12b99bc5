"""A classifier's logits → its answers, as transformers' pipelines make them."""

from collections.abc import Sequence

import numpy as np


def scored(logits: np.ndarray, scoring: str, labels: Sequence[str]) -> dict[str, np.ndarray]:
    """`label` and `probabilities` for one label of several (softmax), `scores` for any number of them (sigmoid), `value` for
    figures (none); logits are of shape (rows, labels)."""
    logits = logits.astype(np.float32)
    if scoring == "none":
        return {"value": logits}
    if scoring == "sigmoid":
        return {"scores": 1 / (1 + np.exp(-logits))}
    raised = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return {
        "label": np.array(labels)[logits.argmax(axis=-1)],
        "probabilities": raised / raised.sum(axis=-1, keepdims=True),
    }
