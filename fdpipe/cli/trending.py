"""`trend`: what the runs of a model chose over time, and whether the newest is slower than the last release."""

import time
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from fdpipe.cli.session import Session
from fdpipe.cli.tables import table
from fdpipe.errors import ConfigError, Exit, among
from fdpipe.history import Fate, History, PastMeasurement
from fdpipe.home import settle_environment
from fdpipe.plan import name_of
from fdpipe.trend import ABOVE, Change, Series, series_of, sparkline

WORDS = ("model", "target", "above")
COLUMNS = ("time (UTC)", "version", "candidate", "came of it", "release", "time ÷ baseline's", "p50 ms", "batch")


def trend(session: Session, words: Sequence[str]) -> int:
    """Show a model's history; 10 where a regression is flagged."""
    asked = _asked(words)
    history = History.of(settle_environment())
    model, targets = name_of(asked["model"]), [name for name in asked.get("target", "").split(",") if name]
    every = history.entries(model)
    if not every:
        known = history.models()
        raise ConfigError(f"there is no benchmark of {model!r} in the history: {among(model, known)}")
    if missing := sorted(set(targets) - {one.target for one in every}):
        raise ConfigError(
            f"there is no benchmark of {model} for target={missing[0]} in the history: "
            f"{among(missing[0], {one.target for one in every})}"
        )
    found = series_of([one for one in every if not targets or one.target in targets], _share(asked.get("above")))
    code = Exit.REJECTED if any(one.change and one.change.regressed for one in found) else Exit.DONE
    if session.as_json:
        session.give({"exit_code": int(code), "model": model, "series": [_as_data(one) for one in found]})
    elif not found:
        session.say(f"{model}: {len(every)} measurements are kept; no run chose a candidate that was measured")
    else:
        for one in found:
            _show(session, model, one)
    return code


def _asked(words: Sequence[str]) -> dict[str, str]:
    """The words as settings; `ConfigError` for one that is not known."""
    asked: dict[str, str] = {}
    for word in words:
        name, equals, value = word.removeprefix("+").partition("=")
        if name not in WORDS or not equals or not value:
            raise ConfigError(f"{word} is not known to `fdpipe trend`: write model=NAME, +target=NAME, above=0.05")
        if name in asked:
            raise ConfigError(f"{name}= is given twice: write it once ({name}={asked[name]} or {name}={value})")
        asked[name] = value
    if "model" not in asked:
        raise ConfigError("say of which model: fdpipe trend model=NAME")
    return asked


def _share(text: str | None) -> float:
    try:
        share = float(text) if text is not None else ABOVE
    except ValueError:
        share = -1.0
    if not 0 <= share < float("inf"):
        raise ConfigError(f"above={text} is no share: write one from 0, as above=0.05 for 5 %")
    return share


def _as_data(one: Series) -> dict[str, Any]:
    return {"target": one.target, "machine": one.machine, "entries": list(one.entries), "change": one.change}


def _show(session: Session, model: str, one: Series) -> None:
    console = session.console()
    where = f"{one.machine.processor}, {one.machine.cores} cores ({one.machine.fingerprint})"
    console.print()
    console.print(Text.assemble((f"{model} on {one.target}", "bold"), f"  {where}"), soft_wrap=True)
    console.print(table(COLUMNS, [_row(entry) for entry in one.entries], right=(5, 6, 7)))
    ratios = [entry.ratio.middle for entry in one.entries if entry.ratio]
    console.print(Text(f"time ÷ baseline's: {sparkline(ratios)}", style="dim"))
    console.print(Text(_said(one.change), style="red" if one.change and one.change.regressed else ""), soft_wrap=True)


def _row(entry: PastMeasurement) -> tuple[str, ...]:
    moment = time.strftime("%Y-%m-%d %H:%M", time.gmtime(entry.time))
    ratio = "–"
    if entry.ratio:
        ratio = f"{entry.ratio.middle:.3f} [{entry.ratio.low:.3f}, {entry.ratio.high:.3f}]"
    lone = min(entry.measurement.timings, key=lambda timing: (timing.batch, timing.length or 0))
    standing = "deployed" if entry.standing is Fate.DEPLOYED else "not deployed"
    release = entry.release[:12] if entry.release else ""
    return moment, entry.version, entry.candidate, standing, release, ratio, f"{lone.p50_ms:.3f}", str(lone.batch)


def _said(change: Change | None) -> str:
    if change is None:
        return "there is no release before the newest on this machine: nothing is compared"
    what = f"version {change.after.version} beside the last release ({change.before.version})"
    verdict = "a regression: " if change.regressed else ""
    times = f"; the p50 of a call, on another day, is {change.p50:.2f} times that one's" if change.p50 else ""
    return f"{what}: {verdict}{change.reason}{times}"
