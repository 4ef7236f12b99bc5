"""What a run came to: for people the candidates, the verdict, the service and the report; for machines one object."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from fdpipe.artifacts import Record
from fdpipe.cli import sample
from fdpipe.cli.session import Session
from fdpipe.cli.tables import table
from fdpipe.execution import Execution, error_code
from fdpipe.report.headline import headline
from fdpipe.report.tables import State, candidates, metric_names, short_list
from fdpipe.report.tables import Table as Candidates
from fdpipe.runs import RunFolder

WIDEST = 1000
STYLES = {
    State.DEPLOYED: "bold green", State.PROVED: "bold green", State.REFUSED: "red", State.FAILED: "dim", State.GIVEN_UP: "dim",
}  # fmt: skip


def show(session: Session, execution: Execution) -> None:
    """The candidates, the verdict, the service with a line to paste, and the report."""
    record = execution.record
    top, console = headline(record), session.console()
    console.print()
    console.print(_fitted(candidates(record, every=False), console))
    if others := len(record.trials) - len(short_list(record)):
        console.print(Text(f"{others} more were tried and came to no final benchmark: the report says why", style="dim"))
    session.console().print()
    if record.rejection is not None:
        _say(session, record.rejection.word, record.rejection.reason, "red")
    else:
        _say(session, "verdict", top.text)
    for remark in top.remarks:
        _say(session, "note", remark, "yellow")
    if record.release is not None and record.deployment is not None:
        name, url = record.deployment.service, record.deployment.url
        _say(session, "service", f"{name} at {url}" if url else f"{name} is proved; a dry run deploys nothing")
        if url:
            session.say(f"\n{sample.curl(record.release, url)}\n")
    elif record.release is not None and record.proof is not None:
        _say(session, "release", f"packaged, not deployed: {record.release.path} ({record.proof.reason})", "yellow")
    _say(session, "report", str(execution.folder.report))


def as_data(folder: RunFolder) -> dict[str, Any]:
    """A run's report with, where its service was deployed, a request to that and the known answers to it."""
    state, record = folder.state(), folder.record()
    data: dict[str, Any] = {"run": state.id, "exit_code": state.exit_code, "summary": state.summary}
    if record is None:
        return data
    data |= {"report": str(folder.report), "junit": str(folder.junit)}
    data |= {"result": msgspec.json.decode(folder.report_data.read_bytes())}
    if record.release is not None and record.deployment is not None and record.deployment.url:
        url = record.deployment.url
        data |= {"url": url, "curl": sample.curl(record.release, url), "expected": sample.expected(record.release)}
    return data


@dataclass(frozen=True, kw_only=True)
class SweepJob:
    """One run of a sweep: its overrides, and what came of it."""

    overrides: str
    came_of: Execution | Exception

    def as_data(self) -> dict[str, Any]:
        """For machines."""
        if isinstance(self.came_of, Execution):
            return {"overrides": self.overrides, **as_data(self.came_of.folder)}
        return {"overrides": self.overrides, "exit_code": int(error_code(self.came_of)), "error": str(self.came_of)}

    def row(self) -> tuple[str, ...]:
        """For people: the exit code, and of what was chosen the quality and the time."""
        if not isinstance(self.came_of, Execution):
            return self.overrides, str(int(error_code(self.came_of))), "", "", "", str(self.came_of)
        record, found = self.came_of.record, candidates(self.came_of.record)
        chosen = record.release.candidate.name if record.release else record.measured.baseline
        cells = dict(zip(found.columns, next(row for row in found.rows if row[0] == chosen), strict=True))
        time = next((name for name in found.columns if name.startswith("time")), "")
        quality = next(iter(metric_names(record)), "")
        shown = (chosen, cells.get(quality, ""), cells.get(time, ""))
        return self.overrides, str(int(self.came_of.exit_code)), *shown, _came_of(record)


def _came_of(record: Record) -> str:
    if record.rejection is not None:
        return record.rejection.reason
    if record.deployment is None:
        return "packaged, not deployed"
    return record.deployment.url or "proved (dry run)"


def comparison(jobs: Sequence[SweepJob]) -> Table:
    """One row a job."""
    return table(("job", "exit", "candidate", "quality", "time", "result"), [job.row() for job in jobs])


def _fitted(found: Candidates, console: Console) -> Table:
    """As many columns as the console has room for; the report has them all."""
    styles = [STYLES.get(state, "") for state in found.states]
    batches = [name for name in found.columns if name.startswith("time")]
    dispensable = ["memory", *reversed(batches[1:]), *[name for name in found.columns if name.startswith("p50")]]
    for number in range(len(dispensable) + 1):
        kept = [at for at, name in enumerate(found.columns) if name not in dispensable[:number]]
        rows = [[row[at] for at in kept] for row in found.rows]
        made = table([found.columns[at] for at in kept], rows, right=range(1, len(kept) - 1), styles=styles)
        if console.measure(made, options=console.options.update(max_width=WIDEST)).maximum <= console.width:
            break
    return made


def _say(session: Session, subject: str, text: str, style: str = "") -> None:
    session.console().print(Text.assemble((f"{subject:<9} ", "bold"), (text, style)), soft_wrap=True)
