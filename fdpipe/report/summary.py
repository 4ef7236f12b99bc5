"""The report for machines: figures, not sentences, and the digests by which everything can be found again."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from fdpipe.artifacts import Parity, Record, Stress, Trial
from fdpipe.hardware import rows_of
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report import graph
from fdpipe.report.headline import headline
from fdpipe.report.stages import stage_rows
from fdpipe.report.tables import judged, marks, state

VERSION = 1
"""Of the form of `report.json`: it changes where a field goes or means something else, not where one is added."""


def to_json(record: Record, plan: Plan, events: Sequence[Event], counted: graph.Operators | None) -> bytes:
    """`report.json`; `counted` are the nodes of the graph before and after."""
    return msgspec.json.format(msgspec.json.encode(summary(record, plan, events, counted)), indent=1)


def summary(record: Record, plan: Plan, events: Sequence[Event], counted: graph.Operators | None) -> dict[str, Any]:
    """What the report says, as JSON-safe data without paths. A figure that is not there is null."""
    measured = record.measured
    return {
        "version": VERSION,
        "model": record.model,
        "target": record.target,
        "plan": plan.digest,
        "outcome": outcome(record),
        "reason": headline(record).text,
        "rejection": record.rejection,
        "verdict": record.verdict,
        "release": record.release and {"digest": record.release.digest, "candidate": record.release.candidate.name},
        "deployment": record.deployment,
        "proof": record.proof,
        "incumbent": record.incumbent,
        "parity": _parity(record.baseline.parity),
        "data": {rows.role: {"rows": rows.count, "digest": rows.digest} for rows in _data(record)},
        "baseline": measured.baseline,
        "candidates": [_candidate(record, trial) for trial in record.trials],
        "hardware": rows_of(record, plan.target),
        "health": measured.health,
        "ended": measured.ended,
        "operators": counted,
        "skipped_runtimes": record.skipped_runtimes,
        "threads": measured.threads,
        "machine": measured.machine,
        "stages": stage_rows(events),
    }


def outcome(record: Record) -> str:
    """What came of the run, in a word: deployed, packaged (and not deployed) or, of a refusal, its own word."""
    if record.rejection is not None:
        return record.rejection.word
    return "deployed" if record.deployment is not None and record.deployment.url else "packaged"


def _parity(parity: Parity) -> dict[str, Any]:
    """The certificate's figures; its file is found by the digest."""
    return {item.name: getattr(parity, item.name) for item in fields(parity) if item.name != "path"}


def _data(record: Record) -> list[Any]:
    return [rows for rows in (record.data.training, record.data.calibration, record.data.evaluation) if rows is not None]


def _candidate(record: Record, trial: Trial) -> dict[str, Any]:
    name, evaluation = trial.candidate.name, trial.evaluation
    return {
        "name": name,
        "runtime": trial.candidate.runtime,
        "recipe": trial.candidate.recipe,
        "session": trial.candidate.session,
        "state": state(record, trial),
        "reason": trial.reason or trial.beaten or None,
        "marks": marks(record, trial),
        "digest": trial.artifact and trial.artifact.digest,
        "size_bytes": trial.artifact and trial.artifact.size_bytes,
        "quality": evaluation and evaluation.quality,
        "reference": evaluation and evaluation.reference,
        "agreement": evaluation and evaluation.agreement,
        "invariance": evaluation and evaluation.invariance,
        "checks": judged(record, trial),
        "measurement": record.measured.of(name),
        "ratio": record.measured.overall(name),
        "energy": record.measured.energy.get(name),
        "stress": [_stress(one) for one in record.stress.get(name, ())],
        "calibration": trial.ranges
        and {
            "method": trial.ranges.method,
            "rows": trial.ranges.rows,
            "digest": trial.ranges.data_digest,
            "coverage": trial.ranges.coverage,
            "coverage_by_input": trial.ranges.coverage_by_input,
        },
        "why": trial.why,
        "calibrator": trial.candidate.calibrator,
        "floats": trial.candidate.floats,
        "impression": trial.speed and trial.speed.of(name),
        "refusals": trial.refusals,
        "sensitivity": trial.sensitivity and trial.sensitivity.nodes,
        "diagnosis": trial.diagnosis,
        "unsupported": trial.unsupported,
        "unmeasured": trial.unmeasured,
        "beaten": trial.beaten,
    }


def _stress(stress: Stress) -> dict[str, Any]:
    """Its figures, without the answers."""
    return {
        "corruption": stress.corruption, "rows": stress.rows, "quality": stress.quality, "reference": stress.reference,
    }  # fmt: skip
