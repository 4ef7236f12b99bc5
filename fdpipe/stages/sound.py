"""sound: whether a candidate's answers are answers at all, whatever a metric makes of them."""

from collections.abc import Mapping

import numpy as np

from fdpipe.artifacts import Aspect, CheckResult, Outcome
from fdpipe.stages.evaluate import same

ANSWERS = "answers"
"""The check's name under which the gate answers for what no metric can be trusted to see, and no plan can leave out."""


def unsound(candidate: str, answers: Mapping[str, np.ndarray], original: Mapping[str, np.ndarray]) -> CheckResult | None:
    """Why a candidate fails whose answers have a `fault` beside the original's, or None."""
    found = fault(answers, original)
    if found is None:
        return None
    reason, count = found
    return CheckResult(
        check=ANSWERS, candidate=candidate, outcome=Outcome.FAIL, reason=reason, figure=float(count), limit=0.0, unit="answers",
        aspect=Aspect.QUALITY,
    )  # fmt: skip


def fault(
    answers: Mapping[str, np.ndarray], wanted: Mapping[str, np.ndarray], whose: str = "the original"
) -> tuple[str, int] | None:
    """What is wrong with the answers, and with how many, or None: one of those `wanted` is not among them, under which a metric
    may not even look; some hold NaN or an infinity where those hold a number; or where those themselves do, they do not hold
    the same. An accuracy would count those as any other wrong answer, and no figure says how far they are from right."""
    if missing := [name for name in wanted if name not in answers]:
        return f"{whose} answers {', '.join(missing)}, and this does not: it answers {', '.join(answers) or 'nothing'}", len(
            missing
        )
    pairs = [(answers[name], other) for name, other in wanted.items() if _are_numbers(answers[name], other)]
    if others := [found for found, other in pairs if len(found) != len(other) or found.size != other.size]:
        return f"its answers have not the shapes of {whose}'s", len(others)
    said = {
        _broken: f"answers hold NaN or an infinity, and {whose}'s to these rows none",
        _mended: f"answers are others than {whose}'s where those hold NaN or an infinity",
    }
    for holds, what in said.items():
        rows = [np.asarray(holds(_flat(found), _flat(other)).any(axis=1)) for found, other in pairs]
        if count := int(np.any(rows, axis=0).sum()) if rows else 0:
            return f"{count:,} of {len(rows[0]):,} {what}", count
    return None


def _are_numbers(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Whether there are floats among them, and nothing but numbers."""
    kinds = {found.dtype.kind, wanted.dtype.kind}
    return "f" in kinds and kinds <= set("biuf")


def _broken(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.asarray(np.isfinite(wanted) & ~np.isfinite(found))


def _mended(found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    return np.asarray(~np.isfinite(wanted) & ~same(found, wanted))


def _flat(array: np.ndarray) -> np.ndarray:
    return array.reshape(len(array), -1).astype(np.float64)
