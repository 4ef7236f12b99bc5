"""What every check of the gate must do. Inherit `CheckContract` and give the check with evidence for and against."""

import re
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from fdpipe import workers
from fdpipe.arrays import save_arrays
from fdpipe.artifacts import (
    LABELS,
    Answers,
    Candidate,
    CheckResult,
    Evaluation,
    Interval,
    Invariance,
    Machine,
    Measured,
    Measurement,
    Outcome,
    Rows,
    Task,
    Timing,
)
from fdpipe.evidence import Evidence
from fdpipe.interfaces import Check
from fdpipe.stages.beside import Beside

CONF = Path(__file__).parents[2] / "conf"


HELD = TemporaryDirectory(prefix="gate-")
"""Where the answers lie that evidence refers to, until the tests end."""


def kept(name: str, **arrays: np.ndarray) -> Path:
    """A file of arrays."""
    path = Path(HELD.name, f"{name}.npz")
    if not path.exists():
        save_arrays(path, arrays)
    return path


def answers(rows: int = 100) -> Answers:
    """A classifier's: every row has the label 1."""
    return Answers(path=kept(f"answers{rows}", label=np.ones(rows, np.int64)), digest=f"answers{rows}")


def beside(incumbent: Evaluation | None = None, rows: int = 100) -> Beside:
    """What candidates are judged beside: rows that all have the label 1, and a release that is deployed, or none."""
    path = kept(f"rows{rows}", x=np.zeros((rows, 1), np.float32), **{LABELS: np.ones(rows, np.int64)})
    judging = Rows(role="evaluation", path=path, digest=f"rows{rows}", count=rows, labelled=True)
    return Beside(
        rows=judging, task=Task.CLASSIFICATION, reference=answers(rows), slicer={}, incumbent=incumbent,
        incumbent_release="release" if incumbent else None,
    )  # fmt: skip


def evaluation(quality: float | None = 0.97, reference: float | None = 0.97, changed: int = 0, rows: int = 100) -> Evaluation:
    """Quality in the metric `accuracy`, of the candidate and of the original."""
    return Evaluation(
        rows=rows,
        quality={"accuracy": quality},
        reference={"accuracy": reference},
        agreement=1.0,
        answers=answers(rows),
        invariance=Invariance(rows=rows, changed=changed, largest_difference=0.0, worst_setting="beside an outlier"),
    )


def measurement(candidate: str, *ratios: Interval | None) -> Measurement:
    """A candidate at batch sizes 1, 2, 3, …."""
    timings = [
        Timing(batch=size, calls=9, p50_ms=1.0, p90_ms=1.1, p99_ms=1.2, rows_per_s=1e3, ratio=ratio)
        for size, ratio in enumerate(ratios, start=1)
    ]
    return Measurement(
        candidate=candidate, timings=tuple(timings), load_ms=1.0, first_call_ms=1.0, peak_rss_mib=50.0, size_bytes=1000
    )


def measured(*candidates: Measurement) -> Measured:
    """A benchmark of these, behind the baseline `rt/none`."""
    machine = Machine(processor="p", cores=2, memory_gib=8.0, system="s", instruction_sets=(), fingerprint="f")
    first = measurement("rt/none", *[None for _ in candidates[0].timings] if candidates else [None])
    return Measured(measurements=(first, *candidates), baseline="rt/none", threads=2, machine=machine)


def ratio(middle: float) -> Interval:
    """A narrow interval."""
    return Interval(low=middle * 0.99, middle=middle, high=middle * 1.01)


def evidence(**changed: Any) -> Evidence:  # noqa: ANN401 - any field of the evidence
    """A candidate with nothing against it: as good as the original, twice as fast; nothing is deployed."""
    candidate = Candidate(runtime="rt", recipe="int8")
    plain = Evidence(
        candidate=candidate,
        is_baseline=False,
        evaluation=evaluation(),
        measured=measured(measurement(candidate.name, ratio(0.5), ratio(0.6))),
        directions={"accuracy": True},
        incumbent=None,
        incumbent_release=None,
    )
    return replace(plain, **changed)


class CheckContract:
    """The suite; `check()` is a worker with a limit, `broken()` lacks the very figure that it judges."""

    conf: str

    def check(self) -> Check:
        """The worker under test."""
        raise NotImplementedError

    def passing(self) -> Evidence:
        """Evidence that it must pass."""
        return evidence()

    def failing(self) -> Evidence:
        """Evidence that it must refuse."""
        raise NotImplementedError

    def broken(self) -> Evidence:
        """Evidence without the figure, or with NaN."""
        raise NotImplementedError

    def result(self, found: Evidence) -> CheckResult:
        """What it says."""
        return self.check().judge(found)

    def test_passes(self) -> None:
        result = self.result(self.passing())
        assert (result.outcome, result.candidate) == (Outcome.PASS, "rt/int8")
        assert result.reason

    def test_refuses_with_figure_and_limit(self) -> None:
        result = self.result(self.failing())
        assert (result.outcome, result.candidate) == (Outcome.FAIL, "rt/int8")
        assert result.figure is not None
        assert result.limit is not None
        assert re.search(r"\d", result.reason), "the sentence says by how much"
        assert "\n" not in result.reason

    def test_the_first_finding_is_the_one_that_refuses(self) -> None:
        found = self.result(self.failing()).findings
        assert not found or found[0].outcome is Outcome.FAIL

    def test_a_missing_figure_never_passes(self) -> None:
        assert self.result(self.broken()).outcome is not Outcome.PASS

    def test_is_a_frozen_worker_of_the_room(self) -> None:
        check: Any = self.check()
        assert workers.build("gate", workers.describe(check)) == check
        for item in fields(check)[:1]:
            with pytest.raises(FrozenInstanceError):
                setattr(check, item.name, None)

    def test_its_file_holds_its_own_defaults(self) -> None:
        text = (CONF / "gate" / f"{self.conf}.yaml").read_text()
        assert text.startswith("# @package gate\n")
        beside = {"unmeasured": "refuse"}  # the plan's own, which stands in config.yaml
        own: Any = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
        gate: Any = OmegaConf.to_container(OmegaConf.create({"gate": {**beside, **own}}), resolve=True)
        (settings,) = [node for node in gate["gate"].values() if isinstance(node, dict)]
        assert workers.build("gate", settings) == type(self.check())()
