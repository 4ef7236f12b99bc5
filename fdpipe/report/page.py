"""The report as one HTML page: the verdict first, then why."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from fdpipe.artifacts import Record
from fdpipe.plan import Plan
from fdpipe.progress import Event
from fdpipe.report import evidence, findings, graph, health, latency, parity, searching, tables
from fdpipe.report.hardware import hardware
from fdpipe.report.headline import facts, headline
from fdpipe.report.panels import panels
from fdpipe.report.picture import Picture, draw
from fdpipe.store import Store

if TYPE_CHECKING:
    from markupsafe import Markup

SLICES = "slices"
ROBUSTNESS = "robustness"
"""The checks whose findings have a part of the page of their own."""


def render(record: Record, plan: Plan, events: Sequence[Event], counted: graph.Operators | None, store: Store) -> str:
    """The page's HTML, which refers to nothing outside itself; `counted` are the nodes of the graph before and after."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("fdpipe.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["breakable"] = breakable
    drawn = {name: [Markup(svg) for svg in svgs] for name, svgs in pictures(record, plan, store).items()}
    return environment.get_template("report.html.j2").render(pictures=drawn, **contents(record, plan, events, counted))


def breakable(name: str) -> "Markup":
    """A candidate's name in HTML, which may go on in the next line where one of its parts ends."""
    from markupsafe import Markup, escape

    told = str(escape(name)).replace("/", "/<wbr>").replace("[", "<wbr>[").replace(",", ",<wbr>")
    return Markup(told)


def pictures(record: Record, plan: Plan, store: Store) -> dict[str, tuple[str, ...]]:
    """The page's `<svg>` elements, by what they show."""
    shown: dict[str, Sequence[Picture]] = {
        "quality": panels(record, higher_is_better=_better(record, plan) == "Up"),
        "latency": latency.distributions(record),
        SLICES: findings.drawn(record, SLICES),
        ROBUSTNESS: findings.drawn(record, ROBUSTNESS),
    }
    every = tuple(one for some in shown.values() for one in some)
    svgs = iter(draw(store, every).svgs if every else ())
    return {name: tuple(next(svgs) for _ in some) for name, some in shown.items()}


def contents(record: Record, plan: Plan, events: Sequence[Event], counted: graph.Operators | None) -> dict[str, Any]:
    """What the template shows."""
    return {
        "record": record,
        "title": f"{record.model.name} on {record.target}",
        "headline": headline(record),
        "facts": facts(record),
        "better": _better(record, plan),
        "metric": next(iter(tables.metric_names(record)), "quality"),
        "candidates": tables.candidates(record, every=False),
        "all_candidates": tables.candidates(record) if len(record.trials) > tables.FEW else None,
        "checks": findings.by_candidate(record),
        "most": tables.MOST,
        "most_judged": findings.MOST_JUDGED,
        "most_found": findings.MOST_FOUND,
        "timings": latency.timings(record),
        "slices": findings.details(record, SLICES),
        "robustness": findings.details(record, ROBUSTNESS),
        "stress": findings.stress(record),
        "health": health.figures(record),
        "paces": health.paces(record),
        "hardware": hardware(record, plan.target),
        "story": searching.story(record),
        "losses": searching.losses(record),
        "diagnoses": searching.diagnoses(record),
        "unsupported": searching.unsupported(record),
        "absent": _absent(record),
        "certificate": parity.certificate(record),
        "cases": parity.cases(record.baseline.parity),
        "operators": graph.table(counted) if counted else None,
        "calibrations": evidence.calibrations(record),
        "proof": evidence.proof(record),
        "bars": evidence.bars(events),
        "provenance": evidence.provenance(record, plan),
    }


def _better(record: Record, plan: Plan) -> str:
    """Where the pictures show the better quality."""
    metric = plan.metric.get(next(iter(tables.metric_names(record)), ""))
    return "Up" if metric is None or metric.higher_is_better else "Down"


def _absent(record: Record) -> list[tuple[str, list[tuple[str, str]]]]:
    """What came to no final figures, by why, with the reason of each."""
    by_state: dict[tables.State, list[tuple[str, str]]] = {}
    for trial in record.trials:
        reason = trial.unmeasured or trial.beaten or trial.reason or "no reason was given"
        by_state.setdefault(tables.state(record, trial), []).append((trial.candidate.name, reason))
    skipped = [(f"runtime {name}", reason) for name, reason in record.skipped_runtimes.items()]
    groups = [
        ("Failed: could not be made or run", by_state.get(tables.State.FAILED, [])),
        ("Not measured: cannot be measured on this machine", [*skipped, *by_state.get(tables.State.NOT_MEASURED, [])]),
        ("Given up early: could only have been slower", by_state.get(tables.State.GIVEN_UP, [])),
    ]
    return [(title, items) for title, items in groups if items]
