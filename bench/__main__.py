"""`python -m bench [WHAT…]`: measure, print, and write docs/benchmarks.md when everything was measured.

A bench that has a `PAGE` of its own writes that whenever it is measured.

`optimize`, `gate` and `serve` are benches of their own, with pages of their own: the words behind them are for them.
"""

import importlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.common import Figure, table
from fdpipe import __version__
from fdpipe.machine import describe_machine

EVERYTHING = ("startup", "line", "cached", "calibration")
APART = ("optimize", "gate", "serve")
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main(wanted: list[str]) -> int:
    """Exit with 1 where something promised does not hold."""
    if wanted and wanted[0] in APART:
        apart: Callable[[list[str]], int] = importlib.import_module(f"bench.{wanted[0]}.run").main
        return apart(wanted[1:])
    sections: list[str] = []
    held = True
    for name in wanted or EVERYTHING:
        module = importlib.import_module(f"bench.{name}")
        figures: list[Figure] = module.measure()
        title = (module.__doc__ or name).strip().splitlines()[0].rstrip(".")
        print(f"## {title}\n\n{table(figures)}\n", flush=True)
        own: Path | None = getattr(module, "PAGE", None)
        if own is None:
            sections.append(f"## {title}\n\n{table(figures)}\n")
        else:
            own.write_text(f"{_head(title, f'bench-{name}')}\n{table(figures)}\n")
        held = held and all(item.holds for item in figures)
    if not wanted:
        PAGE.write_text("\n".join([_head("Benchmarks", "bench"), *sections]))
    return 0 if held else 1


def _head(title: str, made: str) -> str:
    """The page's title, and what wrote it where."""
    machine = describe_machine()
    where = f"{machine.processor}, {machine.cores} cores, {machine.memory_gib} GiB, {machine.system}"
    return f"# {title}\n\n`make {made}` wrote this page: fdpipe {__version__}, {time.strftime('%Y-%m-%d')}, on {where}.\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
