"""`compare`: the line up to the verdict for each target, one table of what they give, and what is recommended."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.text import Text

from fdpipe import config, progress
from fdpipe.cli.console import notes_shown, steps_shown
from fdpipe.cli.session import Session
from fdpipe.cli.tables import table
from fdpipe.errors import ConfigError, ConversionError, Exit, MissingExtra, StageError, StoreError, among
from fdpipe.hardware import Advice, Aim, Row, advise, cells, headings, not_run, notes, rows_of
from fdpipe.hardware.words import LEGEND
from fdpipe.home import settle_environment
from fdpipe.interfaces import Runtime
from fdpipe.pipeline import direct, examine, remember
from fdpipe.plan import Plan, Unmeasured
from fdpipe.releases import Releases
from fdpipe.store import LocalStore, writing
from fdpipe.trials import Call

AIM = "aim="


def compare(session: Session, overrides: Sequence[str], config_dirs: Sequence[Path]) -> int:
    """Compare what the overrides make; 0 with a recommendation, 11 without."""
    aim, rest = aim_of(overrides)
    with notes_shown(session.console()):
        plans = [config.load(job, config_dirs=config_dirs) for job in config.expand(rest)]
    with steps_shown(session.console()):
        found = compared(plans, aim)
    if session.as_json:
        session.give(found.as_data())
    else:
        show(session, found)
    return found.exit_code


def aim_of(overrides: Sequence[str]) -> tuple[Aim, list[str]]:
    """The aim, `latency` unless `aim=` or `+aim=` names one, and the other overrides; `ConfigError` for an unknown one."""
    bare = [text.removeprefix("+") for text in overrides]
    named = [text.removeprefix(AIM) for text in bare if text.startswith(AIM)]
    rest = [text for text, name in zip(overrides, bare, strict=True) if not name.startswith(AIM)]
    if len(named) > 1:
        raise ConfigError(f"aim= is given {len(named)} times: one comparison has one aim")
    try:
        return Aim(named[0] if named else Aim.LATENCY), rest
    except ValueError as error:
        raise ConfigError(f"aim={named[0]} is not known: {among(named[0], list(Aim))}") from error


@dataclass(frozen=True, kw_only=True)
class TargetComparison:
    """The rows of every plan, and what they recommend."""

    model: str
    rows: tuple[Row, ...]
    advice: Advice

    @property
    def exit_code(self) -> Exit:
        """Done, or inconclusive where nothing can be recommended."""
        return Exit.INCONCLUSIVE if self.advice.row is None else Exit.DONE

    def as_data(self) -> dict[str, Any]:
        """For machines."""
        best = self.advice.row
        return {
            "exit_code": int(self.exit_code),
            "model": self.model,
            "aim": self.advice.aim,
            "recommended": {"target": best.target, "runtime": best.runtime, "candidate": best.candidate} if best else None,
            "rule": self.advice.rule,
            "reason": self.advice.reason,
            "rows": list(self.rows),
        }


def compared(plans: Sequence[Plan], aim: Aim, call: Call = direct) -> TargetComparison:
    """Examine every plan. A target that cannot be measured here has its reason and fails nothing. What is wrong for every
    target, as a model that is not there or cannot be converted, is raised, and so is the one reason for which all of them fail.
    Where two plans look at one runtime, the first with a candidate counts."""
    home = settle_environment()
    rows: dict[tuple[str, str], Row] = {}
    failures: list[Failure] = []
    with writing(home):
        store = LocalStore(home / "store")
        releases = Releases(home / "releases.sqlite", store.root)
        for plan in plans:
            progress.note(f"{plan.model} on {plan.target.name}")
            found = _rows(plan, store, releases, home, call)
            failures += [found] if isinstance(found, Failure) else []
            for row in (not_run(plan.target, str(found.error)),) if isinstance(found, Failure) else found:
                place = (row.target, row.runtime)
                if place not in rows or (rows[place].candidate is None and row.candidate is not None):
                    rows[place] = row
    if len(failures) == len(plans):
        _raise_shared(failures)
    estimates = all(plan.unmeasured is Unmeasured.ALLOW for plan in plans)
    every = tuple(rows.values())
    return TargetComparison(model=plans[0].model, rows=every, advice=advise(every, aim, estimates=estimates))


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a plan came to no verdict; `of_model` says that it lies with the model, and not with the target."""

    error: MissingExtra | StageError
    of_model: bool


def _rows(plan: Plan, store: LocalStore, releases: Releases, home: Path, call: Call) -> tuple[Row, ...] | Failure:
    try:
        record, _ = examine(plan, store=store, releases=releases, call=call)
    except StoreError:
        raise
    except MissingExtra as error:
        return Failure(error=error, of_model=any(_works(one) for one in plan.runtime.values()))
    except StageError as error:
        return Failure(error=error, of_model=isinstance(error, ConversionError))
    remember(home, record)
    return rows_of(record, plan.target)


def _works(runtime: Runtime) -> bool:
    """Whether its library is here: then one that is missing is what the model needs."""
    try:
        runtime.check()
    except MissingExtra:
        return False
    return True


def _raise_shared(failures: Sequence[Failure]) -> None:
    """Where no target came to a verdict: what is wrong with the model or, where all say the same, that."""
    for one in failures:
        if one.of_model or all(str(other.error) == str(one.error) for other in failures):
            raise one.error


def show(session: Session, found: TargetComparison) -> None:
    """The table, the legend of its marks, how its figures were come by, and the recommendation."""
    console, best = session.console(), found.advice.row
    figures = range(3, len(headings()))
    styles = ["bold green" if row is best else "" if row.candidate else "dim" for row in found.rows]
    console.print()
    console.print(table(headings(), [cells(row) for row in found.rows], right=figures, styles=styles))
    console.print()
    console.print(Text(LEGEND, style="dim"), soft_wrap=True)
    for line in notes(found.rows):
        console.print(Text(f"· {line}", style="dim"), soft_wrap=True)
    console.print()
    said = ("recommended", "bold green") if best else ("no recommendation", "bold red")
    console.print(Text.assemble((f"{said[0]} for {found.advice.aim}: ", said[1]), found.advice.reason), soft_wrap=True)
    console.print(Text.assemble(("rule: ", "bold"), found.advice.rule), soft_wrap=True)
