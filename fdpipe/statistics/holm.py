"""Many hypotheses at once: which of them are refuted, none wrongly but with a probability of alpha for them all together."""

from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

Case = TypeVar("Case")
Proof = TypeVar("Proof")


def refuted(
    cases: Iterable[Case], count: int, alpha: float, refute: Callable[[Case, float], Proof | None]
) -> Mapping[Case, Proof]:
    """Those of `count` hypotheses that are refuted, each with what `refute` found at the level that did it: Holm's procedure
    (1979, Scandinavian Journal of Statistics 6, 65-70), which asks at alpha / count and, each time that something is refuted,
    asks the others again at alpha / those that are left. `refute` says None where it cannot at the level that it is given.

    `cases` are those of the hypotheses that could be refuted at all, by what alpha alone says.
    """
    open_, found = list(cases), dict[Case, Proof]()
    while open_:
        level = alpha / (count - len(found))
        proofs = {case: proof for case in open_ if (proof := refute(case, level)) is not None}
        if not proofs:
            break
        found |= proofs
        open_ = [case for case in open_ if case not in proofs]
    return found
