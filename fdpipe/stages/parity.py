"""How far an export's answers are from the original's, and the certificate that says so."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from fdpipe.arrays import Batch, rows_in
from fdpipe.artifacts import Case, Parity, Precision, Task
from fdpipe.content import file_digest
from fdpipe.plan import Tolerance

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}

SHOWN_ROWS = 8
"""So many of the rows that are too far apart are kept, the worst first."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A case with its figures. `difference` is why the answers are too far apart, in one sentence, or empty; `rows` are
    those where it shows, the worst first."""

    case: Case
    difference: str = ""
    rows: tuple[int, ...] = ()


def compare(
    name: str,
    task: Task,
    original: Batch,
    exported: Batch,
    tolerance: Tolerance,
    *,
    ties_count: bool = True,
    moved: Sequence[Batch] = (),
) -> Comparison:
    """Labels, and whatever else is no float, by equality; probabilities by their difference, other figures by the relative
    one, tensors by their cosine.

    Without `ties_count`, another label is no difference where the original gives its two likeliest classes the same
    probability: on rows that were made to lie on a boundary, rounding alone decides. `moved` are the original's answers to
    the same rows with their numbers rounded otherwise: a row that moves as far there is excused.
    """
    if other := _unlike(original, exported):
        return Comparison(case=Case(name=name, rows=rows_in(original)), difference=other)
    if not rows_in(original):
        return Comparison(case=Case(name=name, rows=0))
    apart = _apart(task, original, exported)
    if not ties_count:
        apart.flipped[_tied(original, tolerance.probabilities)] = False
    excused = apart.excused([_apart(task, original, one) for one in moved], tolerance, allowed_difference(task, tolerance))
    worst = int(apart.distances.argmax())
    case = Case(
        name=name,
        rows=rows_in(original),
        flips=int(apart.flipped.sum()),
        largest_difference=float(apart.distances[worst]),
        quantiles={word: float(np.quantile(apart.distances, share, method="higher")) for word, share in QUANTILES.items()},
        cosine=None if apart.cosines is None else float(apart.cosines.min()),
        worst_row=worst,
        excused=excused,
    )
    what, rows = _too_far(case, task, apart, tolerance)
    if not what:
        return Comparison(case=case)
    ours, theirs = (", ".join(f"{key} {_shown(batch[key][rows[0]])}" for key in original) for batch in (original, exported))
    told = f"{what} allowed; row {rows[0]}: original {ours}; export {theirs}"
    return Comparison(case=case, difference=told, rows=rows)


@dataclass(frozen=True)
class _Apart:
    """How far apart each row's answers are. `judged` are the distances of those that are not judged by their cosine."""

    flipped: np.ndarray
    distances: np.ndarray
    judged: np.ndarray
    cosines: np.ndarray | None

    def excused(self, moved: Sequence["_Apart"], tolerance: Tolerance, allowed: float) -> int:
        """Leave out the rows that are too far apart and where one of the moved is as far; how many they are."""
        bad = self.flipped | ~(self.judged <= allowed)
        if self.cosines is not None:
            bad |= ~(self.cosines >= tolerance.cosine)
        as_far = np.zeros(len(bad), bool)
        for other in moved:
            closer = (self.judged <= other.judged) & (self.flipped <= other.flipped)
            if self.cosines is not None and other.cosines is not None:
                closer &= self.cosines >= other.cosines
            as_far |= closer
        left_out = bad & as_far
        self.flipped[left_out], self.distances[left_out], self.judged[left_out] = False, 0.0, 0.0
        if self.cosines is not None:
            self.cosines[left_out] = 1.0
        return int(left_out.sum())


def _apart(task: Task, original: Batch, exported: Batch) -> _Apart:
    rows = rows_in(original)
    flipped, distances, judged = np.zeros(rows, bool), np.zeros(rows), np.zeros(rows)
    cosines: np.ndarray | None = None
    for name, ours in original.items():
        theirs = exported[name]
        if ours.dtype.kind != "f":
            flipped |= _by_row(ours.astype(str) != theirs.astype(str))
            continue
        found = _distances(ours, theirs, relative=task is not Task.CLASSIFICATION)
        distances = np.maximum(distances, found)
        if task is Task.TENSORS and ours[0].size > 1:
            cosines = np.minimum(np.ones(rows) if cosines is None else cosines, _cosines(ours, theirs))
        else:
            judged = np.maximum(judged, found)
    return _Apart(flipped, distances, judged, cosines)


def _too_far(case: Case, task: Task, apart: _Apart, tolerance: Tolerance) -> tuple[str, tuple[int, ...]]:
    """The first reason why the answers are too far apart, and the rows where it shows; nothing where they are not."""
    allowed = allowed_difference(task, tolerance)
    if case.flips > tolerance.flips:
        answer = "label" if task is Task.CLASSIFICATION else "answer"
        what = f"{case.flips} of {case.rows} rows have another {answer}, {tolerance.flips} are"
        return what, _worst(apart.flipped.astype(float), apart.flipped)
    if not apart.judged.max() <= allowed:
        kind = "difference" if task is Task.CLASSIFICATION else "relative difference"
        what = f"the largest {kind} is {apart.judged.max():.3g}, {allowed:g} is"
        return what, _worst(apart.judged, apart.judged > allowed)
    if apart.cosines is not None and not apart.cosines.min() >= tolerance.cosine:
        what = f"the smallest cosine is {apart.cosines.min():.6g}, {tolerance.cosine:g} is"
        return what, _worst(-apart.cosines, apart.cosines < tolerance.cosine)
    return "", ()


def _worst(badness: np.ndarray, bad: np.ndarray) -> tuple[int, ...]:
    order = np.argsort(-badness, kind="stable")[: min(SHOWN_ROWS, int(bad.sum()))]
    return tuple(int(row) for row in order)


def allowed_difference(task: Task, tolerance: Tolerance) -> float:
    """The largest difference that is allowed of such a task's figures."""
    return tolerance.probabilities if task is Task.CLASSIFICATION else tolerance.values


def certify(
    path: Path,
    cases: tuple[Case, ...],
    *,
    task: Task,
    tolerance: Tolerance,
    precision: Precision,
    cure: str,
    evidence: Mapping[str, Any],
) -> Parity:
    """The certificate, written as JSON with the evidence: what was compared with what. The first case is the data's."""
    shown = [_figures(case) for case in cases]
    content = {
        **evidence,
        "task": task,
        "precision": precision,
        "cure": cure,
        "tolerance": tolerance,
        **shown[0],
        "cases": shown,
    }
    del content["name"], content["refused"], content["unjudged"]
    path.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1))
    first = cases[0]
    return Parity(
        rows=first.rows, flips=first.flips, largest_difference=first.largest_difference, worst_row=first.worst_row,
        tolerance=allowed_difference(task, tolerance), cases=cases, precision=precision, cure=cure, path=path,
        digest=file_digest(path),
    )  # fmt: skip


def _figures(case: Case) -> dict[str, Any]:
    return {**msgspec.to_builtins(case), "label_flip_rate": case.flips / max(1, case.rows)}


def _unlike(original: Batch, exported: Batch) -> str:
    """Why the answers cannot be compared, or nothing. Of no rows at all, the number of axes must be the same: the others'
    lengths may depend on the rows."""
    if missing := sorted(set(original) - set(exported)):
        return f"the export has no answer {missing[0]!r}: it has {', '.join(sorted(exported))}"
    for name, ours in original.items():
        theirs = exported[name].shape
        if (len(ours.shape), 0) != (len(theirs), *theirs[:1]) if not len(ours) else ours.shape != theirs:
            return f"the export's {name} has the shape {theirs}, the original's {ours.shape}"
        if (ours.dtype.kind == "f") != (exported[name].dtype.kind == "f"):
            return f"the export's {name} is {exported[name].dtype}, the original's {ours.dtype}"
    return ""


def _distances(ours: np.ndarray, theirs: np.ndarray, *, relative: bool) -> np.ndarray:
    """How far apart each row's answers are; infinitely where just one is not finite.

    A relative difference is taken to the original's value, or to a tenth of the values' mean size where that is more: what
    is close to 0 often is the difference of two that are not, and carries their rounding.
    """
    ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        apart = np.abs(ours - theirs)
        if relative:
            size = np.abs(ours)
            finite = size[np.isfinite(size)]
            apart = apart / np.maximum(size, (finite.mean() / 10 if finite.size else 0.0) or 1.0)
    same = (ours == theirs) | (np.isnan(ours) & np.isnan(theirs))
    return _by_row(np.where(same, 0.0, np.nan_to_num(apart, nan=np.inf)))


def _cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """The cosine of each row's tensors a and b, and less where their lengths differ: 1 - |a - b|² / (|a|² + |b|²).

    What is missing or infinite must be so in both. A tensor shorter than a tenth of their mean length is taken to be that
    long, as in `_distances`: of one that is almost 0 rounding is large, and two that are 0 are alike.
    """
    a, b = (array.reshape(len(array), -1).astype(np.float64) for array in (ours, theirs))
    finite = np.isfinite(a) & np.isfinite(b)
    broken = (~finite & (a != b) & ~(np.isnan(a) & np.isnan(b))).any(axis=1)
    a, b = np.where(finite, a, 0.0), np.where(finite, b, 0.0)
    scale = max(np.abs(a).max(initial=0.0), np.abs(b).max(initial=0.0)) or 1.0
    a, b = a / scale, b / scale
    lengths = (a * a).sum(axis=1)
    least = 2 * (np.sqrt(lengths).mean() / 10) ** 2 or 1.0
    apart = ((a - b) ** 2).sum(axis=1) / np.maximum(lengths + (b * b).sum(axis=1), least)
    return np.where(broken, -1.0, 1.0 - apart)


def _tied(original: Batch, allowed: float) -> np.ndarray:
    """The rows whose two likeliest classes the original gives the same probability."""
    scores = original.get("probabilities")
    if scores is None or scores.ndim != 2 or scores.shape[1] < 2:
        return np.zeros(rows_in(original), bool)
    ordered = np.sort(scores.astype(np.float64), axis=1)
    found: np.ndarray = ordered[:, -1] - ordered[:, -2] <= 2 * allowed
    return found


def _by_row(array: np.ndarray) -> np.ndarray:
    """The largest value of each row."""
    found: np.ndarray = array.reshape(len(array), -1).max(axis=1, initial=0)
    return found


def _shown(answer: np.ndarray) -> str:
    return np.array2string(np.asarray(answer), precision=7, threshold=16, separator=", ", max_line_width=10_000)
