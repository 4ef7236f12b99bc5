"""sound: whether a candidate's answers are answers at all, whatever a metric makes of them."""

from collections.abc import Mapping

import numpy as np

from fdpipe.artifacts import Aspect, CheckResult, Outcome

ANSWERS = "answers"
"""The check's name under which the gate answers for what no metric can be trusted to see, and no plan can leave out."""


def unsound(candidate: str, answers: Mapping[str, np.ndarray], original: Mapping[str, np.ndarray]) -> CheckResult | None:
    """Why the answers fail, or None: one of the original's is not among them, under which a metric may not even look; or some
    hold NaN or an infinity where the original's to the same row hold none. An accuracy would count those as any other wrong
    answer."""
    if missing := [name for name in original if name not in answers]:
        reason = f"the original answers {', '.join(missing)}, and this does not: it answers {', '.join(answers)}"
        return _failed(candidate, reason, len(missing))
    pairs = [(array, original[name]) for name, array in answers.items() if name in original and array.dtype.kind == "f"]
    broken = [~_finite(array) & _finite(wanted) for array, wanted in pairs]
    count = int(np.any(broken, axis=0).sum()) if broken else 0
    if not count:
        return None
    reason = f"{count:,} of {len(broken[0]):,} answers hold NaN or an infinity, and the original's to these rows none"
    return _failed(candidate, reason, count)


def _failed(candidate: str, reason: str, count: int) -> CheckResult:
    return CheckResult(
        check=ANSWERS, candidate=candidate, outcome=Outcome.FAIL, reason=reason, figure=float(count), limit=0.0, unit="answers",
        aspect=Aspect.QUALITY,
    )  # fmt: skip


def _finite(array: np.ndarray) -> np.ndarray:
    """Of each row, whether all its numbers are finite; of what holds no floats, all are."""
    if array.dtype.kind != "f":
        return np.ones(len(array), bool)
    return np.asarray(np.isfinite(array.reshape(len(array), -1)).all(axis=1))
