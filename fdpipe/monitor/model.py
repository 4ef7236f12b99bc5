"""The model: what it predicts, and how far its inputs lie outside what calibration saw."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fdpipe.arrays import Batch, label_of, rows_in
from fdpipe.artifacts import Manifest
from fdpipe.interfaces import Exchange

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

OTHER = "other"
_LONGEST_LABEL = 100


@dataclass(frozen=True, kw_only=True)
class Model:
    """At most `max_labels` different labels are told apart; the rest counts as `other`."""

    max_labels: int = 100

    def __post_init__(self) -> None:
        """Ranges."""
        if self.max_labels < 1:
            raise ValueError("max_labels must be at least 1")

    def start(self, release: Manifest, registry: "CollectorRegistry") -> "ModelProbe":
        """Register the metrics; the ranges are the release's."""
        return ModelProbe(self.max_labels, release.input_ranges, registry)


class ModelProbe:
    """Sees inputs and answers of every request that got an answer."""

    def __init__(self, max_labels: int, ranges: Mapping[str, tuple[float, float]], registry: "CollectorRegistry") -> None:
        from prometheus_client import Counter, Gauge

        self.max_labels = max_labels
        self.ranges = ranges
        self._labels: set[str] = set()
        self._seen = dict.fromkeys(ranges, 0)
        self._outside = dict.fromkeys(ranges, 0)
        self.rows = Counter("fdpipe_rows_total", "Rows that were answered", registry=registry)
        self.predictions = Counter("fdpipe_predictions_total", "Rows by the label answered", ["label"], registry=registry)
        self.missing = Counter("fdpipe_input_missing_total", "Values that callers left out", ["input"], registry=registry)
        self.values = Counter("fdpipe_input_values_total", "Numbers that the graph got", ["input"], registry=registry)
        self.outside = Counter(
            "fdpipe_input_out_of_range_total", "Numbers outside the range that calibration saw", ["input"], registry=registry
        )
        self.share = Gauge(
            "fdpipe_input_out_of_range_ratio", "Their share since the start", ["input"], registry=registry,
            multiprocess_mode="mostrecent",
        )  # fmt: skip

    def observe(self, exchanges: Sequence[Exchange], in_flight: int) -> None:
        """Count labels, missing values, and values outside their range."""
        self.rows.inc(sum(rows_in(one.answers) for one in exchanges))
        labels = [found for one in exchanges if (found := label_of(one.answers)) is not None]
        if labels:
            self._count_labels(np.concatenate([one.astype(str) for one in labels]))
        for name, array in _gathered([one.records for one in exchanges]).items():
            self.missing.labels(name).inc(_missing(array))
        for name, array in _gathered([one.tensors for one in exchanges]).items():
            if name in self.ranges:
                self._compare(name, array)

    def _count_labels(self, labels: np.ndarray) -> None:
        texts, counts = np.unique(labels, return_counts=True)
        for text, count in zip(texts.tolist(), counts.tolist(), strict=True):
            self.predictions.labels(self._bounded(text[:_LONGEST_LABEL])).inc(count)

    def _bounded(self, label: str) -> str:
        if label not in self._labels and len(self._labels) >= self.max_labels:
            return OTHER
        self._labels.add(label)
        return label

    def _compare(self, name: str, array: np.ndarray) -> None:
        low, high = self.ranges[name]
        outside = int(np.count_nonzero((array < low) | (array > high)))
        self._seen[name] += array.size
        self._outside[name] += outside
        self.values.labels(name).inc(array.size)
        self.outside.labels(name).inc(outside)
        self.share.labels(name).set(self._outside[name] / max(1, self._seen[name]))


def _gathered(batches: Sequence[Batch]) -> dict[str, np.ndarray]:
    """All values of each name, in one row."""
    found: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        for name, array in batch.items():
            found.setdefault(name, []).append(array.ravel())
    return {name: np.concatenate(arrays) for name, arrays in found.items()}


def _missing(array: np.ndarray) -> int:
    """NaN among numbers, the empty string among strings."""
    if array.dtype.kind == "f":
        return int(np.count_nonzero(np.isnan(array)))
    return int(np.count_nonzero(array == "")) if array.dtype.kind in "OU" else 0
