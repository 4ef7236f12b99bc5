"""What came of the checks, and the verdict."""

from collections import Counter
from dataclasses import dataclass
from enum import StrEnum


class Outcome(StrEnum):
    """Of one check."""

    PASSED = "passed"
    VIOLATED = "violated"
    SKIPPED = "skipped"


class Kind(StrEnum):
    """What a check is about. Only answers, asked for over one of the protocols, show that there is a model at all."""

    DESCRIPTION = "description"
    PROTOCOL = "protocol"
    INVARIANT = "invariant"
    REFUSAL = "refusal"
    LOAD = "load"


class Violation(Exception):
    """The service did something else than it should; the text is the first example."""


class NotShown(Exception):
    """A check has nothing to look at; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of one check: what was seen, the first example of a violation, or why it was skipped."""

    check: str
    kind: Kind
    outcome: Outcome
    told: str


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Of all checks of one service. `model` is empty where none was found; `rows` says what it was asked."""

    url: str
    model: str
    rows: str
    results: tuple[Result, ...]

    @property
    def violations(self) -> tuple[Result, ...]:
        """The checks that were violated."""
        return tuple(one for one in self.results if one.outcome is Outcome.VIOLATED)

    @property
    def shows_answers(self) -> bool:
        """Whether the model answered over a protocol at least; or nothing is proved, whatever else passed."""
        return any(one.kind is Kind.PROTOCOL and one.outcome is Outcome.PASSED for one in self.results)

    @property
    def passed(self) -> bool:
        """Whether something was shown, and nothing violated."""
        return self.shows_answers and not self.violations

    @property
    def text(self) -> str:
        """In one line."""
        counts = Counter(one.outcome for one in self.results)
        counted = ", ".join(f"{counts[one]} {one}" for one in Outcome)
        if self.violations:
            first = self.violations[0]
            return f"{counted}; {first.check}: {first.told}"
        return counted if self.shows_answers else f"{counted}; nothing was shown: the service gave no answer over any protocol"
