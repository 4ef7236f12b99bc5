"""The bench as a whole: `python -m bench gate`, or some parts of it, and the page when all of them are there."""

import importlib
import sys
import time
from collections.abc import Sequence

from bench.gate import page
from bench.gate.page import Row
from fdpipe.home import settle_environment

PARTS = ("speed", "quality")
FEW = "--trials="
"""Behind it the number of trials, for a look that takes less time and writes no page."""
FRESH = "--fresh"
"""Trials of an earlier run, or of one that was cut short, are made again."""


def main(words: Sequence[str]) -> int:
    """1 where a row was missed, each of which is named; 2 for a word that means nothing."""
    given = next((word.removeprefix(FEW) for word in words if word.startswith(FEW)), "")
    unknown = [word for word in words if word not in (*PARTS, FRESH) and not word.startswith(FEW)]
    if unknown or (given and not given.isdecimal()):
        allowed = ", ".join((*PARTS, f"{FEW}NUMBER", FRESH))
        print(f"bench gate knows no {' '.join(unknown) or FEW + given}: it has {allowed}", file=sys.stderr)
        return 2
    settle_environment()
    started = time.perf_counter()
    parts = [word for word in words if word in PARTS] or list(PARTS)
    found: dict[str, Sequence[Row]] = {}
    told: dict[str, str] = {}
    for name in parts:
        module = importlib.import_module(f"bench.gate.{name}")
        title = getattr(module, "TITLE", name.capitalize())
        count = {"count": int(given)} if given else {}
        found[title] = module.rows(**count, fresh=FRESH in words)
        told[title] = getattr(module, "TOLD", "")
        print(page.tables({title: found[title]}, told), flush=True)
    if set(parts) == set(PARTS) and not given:
        page.PAGE.write_text(page.page(found, told))
    missed = [row for rows in found.values() for row in rows if row.holds is False]
    for row in missed:
        print(f"missed: {row.what}: {row.found}, wanted {row.wanted}")
    print(f"{time.perf_counter() - started:.0f} s")
    return 1 if missed else 0
