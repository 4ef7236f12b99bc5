"""The report for machines: figures, not sentences, and the digests by which everything can be found again."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import msgspec

from fdpipe.artifacts import Parity, Record, Trial
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report.stages import stage_rows
from fdpipe.report.tables import state


def to_json(record: Record, plan: Plan, events: Sequence[Event]) -> bytes:
    """`report.json`."""
    return msgspec.json.format(msgspec.json.encode(summary(record, plan, events)), indent=1)


def summary(record: Record, plan: Plan, events: Sequence[Event]) -> dict[str, Any]:
    """What the report says, as JSON-safe data without paths."""
    return {
        "model": record.model,
        "target": record.target,
        "plan": plan.digest,
        "outcome": "rejected" if record.rejection else "deployed" if record.deployment else "packaged",
        "reason": record.rejection.reason if record.rejection else record.verdict.reason,
        "verdict": record.verdict,
        "release": record.release and {"digest": record.release.digest, "candidate": record.release.candidate.name},
        "deployment": record.deployment,
        "proof": record.proof,
        "incumbent": record.incumbent,
        "parity": _parity(record.baseline.parity),
        "data": {rows.role: {"rows": rows.count, "digest": rows.digest} for rows in _data(record)},
        "candidates": [_candidate(record, trial) for trial in record.trials],
        "skipped_runtimes": record.skipped_runtimes,
        "threads": record.measured.threads,
        "machine": record.measured.machine,
        "stages": stage_rows(events),
    }


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
        "digest": trial.artifact and trial.artifact.digest,
        "size_bytes": trial.artifact and trial.artifact.size_bytes,
        "quality": evaluation and evaluation.quality,
        "reference": evaluation and evaluation.reference,
        "agreement": evaluation and evaluation.agreement,
        "invariance": evaluation and evaluation.invariance,
        "measurement": record.measured.of(name),
        "calibration": trial.ranges
        and {
            "method": trial.ranges.method,
            "rows": trial.ranges.rows,
            "digest": trial.ranges.data_digest,
            "coverage": trial.ranges.coverage,
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
    }
