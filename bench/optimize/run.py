"""The bench as a whole: `python -m bench optimize`, or some parts of it, and the page when all of them are there."""

import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from bench.optimize import page
from bench.optimize.fallback import Fallback, fallback
from bench.optimize.given import folder
from bench.optimize.recipes import Line, lines
from bench.optimize.regret import WANTED, Regret, regrets
from bench.optimize.row import Row
from bench.optimize.rows import rows
from fdpipe.home import settle_environment

PARTS = ("rows", "fallback", "regret", "recipes")
FRESH = "--fresh"
MEASURED = ("results", "store/objects/benchmark", "store/objects/evaluate", "made", "jobs")
"""What a fresh start forgets; the models, and Olive's environment, stay."""


@dataclass(kw_only=True)
class Result:
    """What was measured."""

    rows: list[Row] = field(default_factory=list)
    fallback: Fallback | None = None
    regrets: list[Regret] = field(default_factory=list)
    lines: list[Line] = field(default_factory=list)

    @property
    def missed(self) -> list[str]:
        """Each row that was missed, or could not be measured, in words."""
        found = [f"{row.what}: {row.found}, wanted {row.wanted}" for row in self.rows if not row.holds]
        found += [f"fallback: {one}" for one in self.fallback.missed] if self.fallback else []
        held = sum(one.holds for one in self.regrets)
        if self.regrets and held < WANTED:
            found.append(f"chosen against an exhaustive search: {held} of {len(self.regrets)} within 3 %, wanted {WANTED}")
        return found


def main(words: Sequence[str]) -> int:
    """1 where a row was missed, each of which is named; 2 for a word that means nothing."""
    if unknown := [word for word in words if word not in (*PARTS, FRESH)]:
        print(f"bench optimize knows no {unknown[0]}: it has {', '.join(PARTS)} and {FRESH}", file=sys.stderr)
        return 2
    settle_environment()
    if FRESH in words:
        for name in MEASURED:
            shutil.rmtree(folder() / name, ignore_errors=True)
    parts = [word for word in words if word in PARTS] or list(PARTS)
    started, result = time.perf_counter(), Result()
    if "rows" in parts:
        result.rows = rows()
    if "fallback" in parts:
        result.fallback = fallback()
    if "regret" in parts:
        result.regrets = regrets()
    if "recipes" in parts:
        result.lines = lines()
    if set(parts) == set(PARTS):
        page.PAGE.write_text(page.page(result.rows, result.fallback, result.regrets, result.lines))
    else:
        print(page.tables(result.rows, result.fallback, result.regrets, result.lines))
    for missed in result.missed:
        print(f"missed: {missed}")
    print(f"{time.perf_counter() - started:.0f} s")
    return 1 if result.missed else 0
