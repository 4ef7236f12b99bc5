"""A world to search in: what each candidate would turn out to be, by formulas instead of models."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from fdpipe.artifacts import (
    Answers,
    Artifact,
    Aspect,
    Candidate,
    CheckResult,
    Diagnosis,
    Evaluation,
    Interval,
    Invariance,
    Machine,
    Measured,
    Measurement,
    Outcome,
    Sensitivity,
    Timing,
    Trial,
)
from fdpipe.interfaces import Search
from fdpipe.space import Choice, Space

EVERYWHERE = ("ort", "vino")
SPACE = Space(
    runtimes={"ort": ({}, {"spinning": True}), "vino": ({}, {"precision": "bf16"})},
    recipes={
        "none": Choice(runtimes=EVERYWHERE),
        "fused": Choice(runtimes=("ort",)),
        "static": Choice(runtimes=EVERYWHERE, calibrators=("mse", "entropy"), quantizes=True, calibrates=True, excludes=True),
        "dynamic": Choice(runtimes=EVERYWHERE, quantizes=True, excludes=True),
    },
    batch_sizes=(1, 8),
    operators={"MatMul": 10, "Add": 10},
    instruction_sets=("avx512f", "avx512_vnni", "amx_bf16"),
)
ALLOWED = 0.01
SPREAD = 0.02


@dataclass(frozen=True, kw_only=True)
class Truth:
    """What a candidate is: its ratio at each batch size, what it loses, whether its answers depend on the batch, or the
    reason for which it cannot be made."""

    ratios: Mapping[int, float]
    loss: float = 0.0
    unstable: bool = False
    fails: str | None = None
    slower_above: float = 1.03
    diagnosis: Diagnosis | None = None


@dataclass(kw_only=True)
class World:
    """`truth` says what a candidate is, `sensitivity` where those that can leave nodes in float lose; `tried` is the search's
    own way through it."""

    truth: Callable[[Candidate], Truth]
    sensitivity: Sensitivity | None = None
    space: Space = SPACE
    whys: list[str] = field(default_factory=list)

    def searched(self, search: Search, limit: int = 200) -> list[Trial]:
        """The trials of a whole search, one by one, as the loop makes them."""
        runtime = self.space.recipes["none"].runtimes[0]
        trials = [replace(self.trial(Candidate(runtime=runtime, recipe="none")), speed=None, refusals=())]
        while proposals := search.propose(self.space, trials):
            assert proposals == search.propose(self.space, tuple(trials)), "it is a function of the trials"
            assert len(trials) < limit, f"no end after {limit} trials"
            self.whys.append(proposals[0].why)
            trials.append(self.trial(proposals[0].candidate, proposals[0].why))
        names = [trial.candidate.name for trial in trials]
        assert len(names) == len(set(names)), "nothing is tried twice"
        return trials

    def trial(self, candidate: Candidate, why: str = "") -> Trial:
        """What comes of trying it."""
        truth = self.truth(candidate)
        if truth.fails:
            return Trial(candidate=candidate, reason=truth.fails, why=why)
        excludes = candidate.recipe in self.space.recipes and self.space.recipes[candidate.recipe].excludes
        refusals = tuple(self._refusals(candidate, truth))
        lossy = any(one.aspect is Aspect.QUALITY for one in refusals)
        return Trial(
            candidate=candidate,
            artifact=artifact(candidate),
            evaluation=evaluation(truth.loss),
            speed=measured(candidate, truth.ratios),
            why=why,
            refusals=refusals,
            sensitivity=self.sensitivity if lossy and excludes else None,
            diagnosis=truth.diagnosis,
        )

    def _refusals(self, candidate: Candidate, truth: Truth) -> Sequence[CheckResult]:
        found = {
            Aspect.QUALITY: (truth.loss, ALLOWED),
            Aspect.SPEED: (max(truth.ratios.values()) * (1 - SPREAD), truth.slower_above),
            Aspect.STABILITY: (float(truth.unstable), 0.0),
        }
        return [
            CheckResult(
                check=aspect.value, candidate=candidate.name, outcome=Outcome.FAIL, reason=f"{aspect} is {figure:.3f}",
                figure=figure, limit=limit, aspect=aspect,
            )
            for aspect, (figure, limit) in found.items()
            if figure > limit
        ]  # fmt: skip


def artifact(candidate: Candidate, size_bytes: int = 1000) -> Artifact:
    """Its model."""
    return Artifact(kind="onnx", path=Path("m"), digest=candidate.name, size_bytes=size_bytes, inputs=(), outputs=())


def evaluation(loss: float) -> Evaluation:
    """So much worse than the original."""
    return Evaluation(
        rows=100,
        quality={"accuracy": 0.95 - loss},
        reference={"accuracy": 0.95},
        agreement=1 - loss,
        answers=Answers(path=Path("a"), digest="a"),
        invariance=Invariance(rows=100, changed=0, largest_difference=0.0, worst_setting="in batches of 8"),
    )


def measured(
    candidate: Candidate, ratios: Mapping[int, float], memory_mib: float | None = None, size_bytes: int = 1000
) -> Measured:
    """Its first impression beside the baseline."""
    timings = tuple(
        Timing(
            batch=batch, calls=9, p50_ms=ratio, p90_ms=ratio, p99_ms=ratio, rows_per_s=batch / ratio,
            ratio=Interval(low=ratio * (1 - SPREAD), middle=ratio, high=ratio * (1 + SPREAD)),
        )
        for batch, ratio in ratios.items()
    )  # fmt: skip
    one = Measurement(
        candidate=candidate.name,
        timings=timings,
        load_ms=1.0,
        first_call_ms=1.0,
        peak_rss_mib=memory_mib,
        size_bytes=size_bytes,
    )
    machine = Machine(processor="p", cores=2, memory_gib=8.0, system="s", instruction_sets=(), fingerprint="f")
    return Measured(measurements=(one,), baseline="ort/none", threads=2, machine=machine)
