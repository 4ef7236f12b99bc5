"""The search as the report tells it: what was tried and why, where quantizing loses, what makes a candidate slow."""

from collections.abc import Sequence

from fdpipe.artifacts import Diagnosis, Record, Sensitivity, Trial, Unsupported
from fdpipe.report import words
from fdpipe.report.tables import Table, measurement_of, metric_names, refusals, state

SHOWN_NODES = 8
"""So many of the nodes that lose most are shown."""


def story(record: Record) -> Table:
    """Every trial in its turn: why the search wanted it, its first metric, its time beside the baseline's (over all batch
    sizes), and what came of it."""
    metric = next(iter(metric_names(record)), "quality")
    rows = tuple(_turn(record, trial, metric) for trial in record.trials)
    return Table(
        columns=("candidate", "why", metric, "time", "came of it"),
        rows=rows,
        states=tuple(state(record, trial) for trial in record.trials),
        numbers=tuple(range(1, len(rows) + 1)),
    )


def losses(record: Record) -> list[tuple[str, Table]]:
    """Each distinct sensitivity, with how it was found, and its worst nodes."""
    found: dict[tuple[object, ...], Sensitivity] = {}
    for trial in record.trials:
        if trial.sensitivity is not None and trial.sensitivity.nodes:
            found.setdefault(tuple(node.node for node in trial.sensitivity.nodes), trial.sensitivity)
    return [(f"{one.method}, {one.rows} rows, {len(one.nodes)} nodes", _nodes(one)) for one in found.values()]


def diagnoses(record: Record) -> list[tuple[str, Diagnosis]]:
    """The quantized candidates that are not faster, and why."""
    found = [(trial.candidate.name, trial.diagnosis) for trial in record.trials]
    return [(name, one) for name, one in found if one is not None and one.reasons]


def unsupported(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """What a runtime cannot take: each operator with its reason, and the nodes that it is about."""
    return [(trial.candidate.name, _by_reason(trial.unsupported)) for trial in record.trials if trial.unsupported]


def _by_reason(nodes: Sequence[Unsupported]) -> list[tuple[str, str]]:
    found: dict[tuple[str, str], list[str]] = {}
    for node in nodes:
        found.setdefault((node.operator, node.reason), []).append(node.node)
    return [(f"{operator}, {_named(names)}", reason) for (operator, reason), names in found.items()]


def _named(nodes: Sequence[str]) -> str:
    """The node, or how many there are, the first by name."""
    return nodes[0] if len(nodes) == 1 else f"{len(nodes)} nodes, as {nodes[0]}"


def _turn(record: Record, trial: Trial, metric: str) -> tuple[str, ...]:
    name, measurement = trial.candidate.name, measurement_of(record, trial)
    quality = words.figure(trial.evaluation.quality.get(metric)) if trial.evaluation else words.DASH
    measured = record.measured if record.measured.of(name) else trial.speed
    overall = measured.overall(name) if measured and measurement else None
    time = "1 (baseline)" if name == record.measured.baseline else words.ratio(overall)
    return name, trial.why or words.DASH, quality, time, _came_of(record, trial)


def _came_of(record: Record, trial: Trial) -> str:
    against = [f"{result.check}: {result.reason}" for result in refusals(record, trial)]
    return "; ".join(against) or trial.unmeasured or trial.beaten or trial.reason or state(record, trial).value


def _nodes(found: Sensitivity) -> Table:
    return Table(
        columns=("node", "operator", "signal to noise", "change of the answers", "share of the work"),
        rows=tuple(
            (
                node.node,
                node.operator,
                f"{node.snr_db:.1f} dB",
                words.DASH if node.divergence is None else f"{node.divergence:.2%}",
                f"{node.work:.1%}",
            )
            for node in found.nodes[:SHOWN_NODES]
        ),
    )
