"""What a search may combine, and what it proposes."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fdpipe.artifacts import Candidate
from fdpipe.interfaces import Session


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A recipe as a search sees it: the `runtimes` that open what it makes, the `calibrators` that may take the place of its
    own, whether it quantizes, whether it does so with calibration rows, and whether single nodes may stay in float."""

    runtimes: tuple[str, ...]
    calibrators: tuple[str, ...] = ()
    quantizes: bool = False
    calibrates: bool = False
    excludes: bool = False


@dataclass(frozen=True, kw_only=True)
class Space:
    """What a search may combine: the sessions that each usable runtime offers, its default first, and the recipes.

    Beside it what the search must know: `by_rows` names the runtime that opens candidates with `parts`, where one was
    chosen; the batch sizes that matter; how many nodes of each operator the model has; what the processor can.
    """

    runtimes: Mapping[str, tuple[Session, ...]]
    recipes: Mapping[str, Choice]
    by_rows: str = ""
    batch_sizes: tuple[int, ...] = (1,)
    operators: Mapping[str, int] = field(default_factory=dict)
    instruction_sets: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A candidate to try, and why, for the log and the report."""

    candidate: Candidate
    why: str = ""
