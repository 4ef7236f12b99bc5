"""Candidates, and what is found out about them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fdpipe.artifacts.models import Answers, Artifact, Provenance
from fdpipe.artifacts.speed import Measured
from fdpipe.content import fingerprint


@dataclass(frozen=True, kw_only=True)
class Ranges:
    """What calibration found: (low, high) by tensor name, from `rows` rows; `inputs` holds the graph inputs' ranges.

    `coverage` is the share of evaluation values that lie inside their input's range, of all and by input; whole numbers, as a
    text's tokens, have no range and do not count.
    """

    method: str
    rows: int
    data_digest: str
    values: Mapping[str, tuple[float, float]]
    inputs: Mapping[str, tuple[float, float]]
    coverage: float | None = None
    coverage_by_input: Mapping[str, float] = field(default_factory=dict)
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """Runtime × recipe × session settings.

    `calibrator` names the one that takes the place of the recipe's own. `floats` are the nodes that its quantizer leaves
    alone, each by the name of its first output. `parts` is for a candidate that chooses by the number of rows in a call:
    (from so many rows on, this candidate), the first from 1 on.
    """

    runtime: str
    recipe: str
    session: Mapping[str, int | float | str | bool] = field(default_factory=dict)
    calibrator: str = ""
    floats: tuple[str, ...] = ()
    parts: tuple[tuple[int, "Candidate"], ...] = ()

    @property
    def name(self) -> str:
        """Unique within a run: runtime and recipe, and whatever else there is."""
        if self.parts:
            return f"{self.runtime}({', '.join(f'{rows}+: {one.name}' for rows, one in self.parts)})"
        how = f"+{self.calibrator}" if self.calibrator else ""
        kept = f"-{len(self.floats)}#{fingerprint(sorted(self.floats))[:6]}" if self.floats else ""
        settings = ",".join(f"{key}={value}" for key, value in sorted(self.session.items()))
        return f"{self.runtime}/{self.recipe}{how}{kept}" + (f"[{settings}]" if settings else "")


@dataclass(frozen=True, kw_only=True)
class Invariance:
    """Whether a row's answer depends on its batch-mates: how many of `rows` rows have another label, or any figure that moved
    beyond the tolerance, when asked in batches of 8 and 32, beside a 20-fold outlier, or padded, instead of alone."""

    rows: int
    changed: int
    largest_difference: float
    worst_setting: str


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Quality on the evaluation rows: each metric's value for the candidate and for the original; None is a missing or
    non-finite figure. `agreement` is the share of rows answered like the original."""

    rows: int
    quality: Mapping[str, float | None]
    reference: Mapping[str, float | None]
    agreement: float | None
    answers: Answers
    invariance: Invariance
    provenance: Provenance | None = None


class Outcome(StrEnum):
    """The outcome of a check, of a verdict."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    ANOMALOUS = "anomalous"


DECIDING_FIRST = (Outcome.FAIL, Outcome.ANOMALOUS, Outcome.INCONCLUSIVE, Outcome.PASS)
"""Of several outcomes that must all hold: what is sure, before what may still be otherwise."""


class Mark(StrEnum):
    """What a release bears on its way: `unbatchable` says that its answers depend on their batch-mates, and that a service
    never puts two requests into one call."""

    UNBATCHABLE = "unbatchable"


class Aspect(StrEnum):
    """What a check is about: how good the answers are, how fast, whether they depend on what they are computed with, or what
    it costs to have them: time, memory, energy."""

    QUALITY = "quality"
    SPEED = "speed"
    STABILITY = "stability"
    COST = "cost"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One of the things that a check looked at, as a metric, a slice or a kind of corruption: its `figure`, with the bounds of
    its confidence interval where it is an estimate, on so many `rows`. `needed` is how many rows would decide what these
    cannot. `p_value` is that of two models being equally often right (exact McNemar), where rows are right or wrong."""

    name: str
    outcome: Outcome
    figure: float | None = None
    low: float | None = None
    high: float | None = None
    limit: float | None = None
    unit: str = ""
    rows: int | None = None
    needed: int | None = None
    p_value: float | None = None


@dataclass(frozen=True, kw_only=True)
class CheckResult:
    """One check on one candidate: `figure` against `limit`, both in `unit`; `reason` is the sentence for people; `aspect` is
    what the check says of itself.

    `findings` are all that it looked at, that which decided first. `needed` is the number of evaluation rows that would decide
    what is inconclusive: the gate says it behind the check's own sentence. A check that passes a candidate may do so with a
    `mark`, which the release then bears.
    """

    check: str
    candidate: str
    outcome: Outcome
    reason: str
    figure: float | None = None
    limit: float | None = None
    unit: str = ""
    aspect: Aspect = Aspect.QUALITY
    findings: tuple[Finding, ...] = ()
    needed: int | None = None
    mark: Mark | None = None


@dataclass(frozen=True, kw_only=True)
class Stress:
    """A candidate on evaluation rows that were corrupted in one way: each metric's figure, and the baseline's on the same rows,
    which was proved equal to the original. The rows' `labels` are those of the evaluation rows."""

    corruption: str
    rows: int
    quality: Mapping[str, float | None]
    reference: Mapping[str, float | None]
    answers: Answers
    baseline_answers: Answers


@dataclass(frozen=True, kw_only=True)
class NodeLoss:
    """What 8 bits would cost at one node, called by its first output: `snr_db` is the ratio of its output's power to that
    of the noise which quantizing this node alone puts into it, `divergence` what that does to the model's own answers (root
    mean square, relative), where it was asked; `work` is its share of the model's multiplications."""

    node: str
    operator: str
    snr_db: float
    divergence: float | None = None
    work: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Sensitivity:
    """Where a model loses when it is quantized: the nodes that can be, the worst first, found on `rows` rows without labels."""

    method: str
    rows: int
    nodes: tuple[NodeLoss, ...]
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class NodeTime:
    """The time of one node of an opened model, in a call: `node` is its first output's name in the model's file, where the
    runtime still knows it, `operator` in the runtime's own words, `inputs` the nodes whose outputs it takes, where known."""

    node: str
    operator: str
    ms: float
    inputs: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why a quantized candidate is not faster: `reasons` are the sentences for people. `float_share` of its time goes into
    nodes that compute in float, `converting_share` into those that only quantize and dequantize, `unfused` of which there
    are; `times` are those of the slowest nodes, the slowest first.

    `unpaid` are the nodes of the float model that are no faster in 8 bits, what converts for them counted in, each by the
    name of its first output, that with the most to save first."""

    reasons: tuple[str, ...]
    float_share: float | None = None
    converting_share: float | None = None
    unfused: int | None = None
    times: tuple[NodeTime, ...] = ()
    unpaid: tuple[str, ...] = ()
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Unsupported:
    """A node that a runtime cannot take, and why, in the runtime's own words."""

    node: str
    operator: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One candidate tried; `why` the search wanted it. Where it failed or was skipped, `reason` says why and the rest is
    missing; `unsupported` names the nodes that its runtime refused.

    `refusals` are the gate's, on the first impression of its speed. `sensitivity` says where a quantized one loses that the
    gate refused for its quality, `diagnosis` why one is slow. `unmeasured` says why it was made here and its speed, or all of
    it, cannot be measured here. Where it could be run, `unsupported` names the nodes that its runtime's devices leave to the
    processor. `beaten` says why its answers were not asked for: its first impression was far slower than another's that passed.
    """

    candidate: Candidate
    artifact: Artifact | None = None
    ranges: Ranges | None = None
    evaluation: Evaluation | None = None
    speed: Measured | None = None
    reason: str | None = None
    why: str = ""
    refusals: tuple[CheckResult, ...] = ()
    sensitivity: Sensitivity | None = None
    diagnosis: Diagnosis | None = None
    unsupported: tuple[Unsupported, ...] = ()
    unmeasured: str = ""
    beaten: str = ""

    @property
    def succeeded(self) -> bool:
        """Whether it was made and evaluated, and so can be a finalist."""
        return self.artifact is not None and self.evaluation is not None

    @property
    def measurable(self) -> bool:
        """Whether it can go to the benchmark."""
        return self.succeeded and not self.unmeasured
