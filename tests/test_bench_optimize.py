"""What the bench of the search is made of, as far as it can be wrong without a measurement."""

import sys
from pathlib import Path

import pytest

from bench.optimize import page
from bench.optimize.everything import Everything, Extent
from bench.optimize.fallback import Fallback, Turn
from bench.optimize.processes import cost
from bench.optimize.recipes import Line
from bench.optimize.regret import Regret
from bench.optimize.remembered import remembered
from bench.optimize.rows import Row
from bench.optimize.run import Result, main
from fdpipe.artifacts import Trial
from fdpipe.interfaces import Choice, Space

SPACE = Space(
    runtimes={"one": ({}, {"arena": False}), "two": ({},), "rows": ({},)},
    recipes={
        "none": Choice(runtimes=("one", "two", "rows")),
        "static": Choice(runtimes=("one",), calibrators=("mse", "entropy")),
    },
    by_rows="rows",
)
GROW = "import subprocess, sys; held = bytearray(80 * 2**20); subprocess.run([sys.executable, '-c', 'bytearray(60 * 2**20)'])"


@pytest.mark.parametrize(("extent", "static"), [(Extent.DEFAULTS, 1), (Extent.EACH, 4), (Extent.CROSSED, 6)])
def test_everything_is_as_much_as_its_extent_says(extent: Extent, static: int) -> None:
    found = [one.candidate for one in Everything(extent=extent).propose(SPACE, [])]
    assert len({one.name for one in found}) == len(found)
    assert len([one for one in found if one.recipe == "static"]) == static
    assert {one.runtime for one in found} == {"one", "two"}


def test_everything_is_tried_once() -> None:
    search = Everything(extent=Extent.DEFAULTS)
    tried = [Trial(candidate=one.candidate, reason="it failed") for one in search.propose(SPACE, [])]
    assert search.propose(SPACE, tried) == []
    assert len(search.propose(SPACE, tried[1:])) == 1


def test_a_result_is_worked_out_once(home: Path) -> None:
    counted: list[int] = []

    def work() -> list[int]:
        counted.append(1)
        return counted

    assert remembered("ones", work) == remembered("ones", work) == [1]
    assert remembered("more", work) == [1, 1]


def test_the_memory_of_all_processes_counts(tmp_path: Path) -> None:
    alone = cost([sys.executable, "-c", "import time; held = bytearray(80 * 2**20); time.sleep(0.3)"], {}, tmp_path)
    both = cost([sys.executable, "-c", GROW], {}, tmp_path)
    assert 80 < alone.peak_mib < 130
    assert both.peak_mib > alone.peak_mib
    assert 0 < alone.processor_s < alone.wall_s * 64


def test_a_program_that_fails_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="so it is"):
        cost([sys.executable, "-c", "raise SystemExit('so it is')"], {}, tmp_path)


def test_each_row_that_was_missed_is_named() -> None:
    rows = [
        Row(what="fast", wanted="≥ 2 ×", found="3 ×", holds=True),
        Row(what="slow", wanted="≥ 2 ×", found="1 ×", holds=False),
        Row(what="absent", wanted="≥ 2 ×", found="–", holds=None),
    ]
    near = [regret(1.0)] * 38 + [regret(1.2)] * 2
    assert Result(rows=rows, regrets=near).missed == ["slow: 1 ×, wanted ≥ 2 ×", "absent: –, wanted ≥ 2 ×"]
    assert "37 of 40" in Result(regrets=[*near[1:], regret(1.031)]).missed[0]


def regret(ratio: float) -> Regret:
    return Regret(model="m", drop=0.01, tried=9, searched=3, chosen="a", best="b", ratio=ratio)


def test_words_that_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rwos"]) == 2
    assert "rows" in capsys.readouterr().err


TURN = Turn(candidate="a/naive", why="8 bits", quality=0.5, ratio=1.2, against="lost 0.5")
MENDED = Turn(candidate="a/static-3#abcdef[threads=1]", why="lost", quality=0.95, ratio=0.7, against="")
FALLBACK = Fallback(turns=(TURN, MENDED), chosen=MENDED.candidate)


def test_a_fallback_shows_a_refusal_and_what_passes_for_it() -> None:
    assert not FALLBACK.missed
    assert FALLBACK.turns[:1] == (TURN,)
    assert Fallback(turns=(TURN,), chosen="").missed == ["no candidate with nodes in float passes"]
    assert Fallback(turns=(MENDED,), chosen="").missed == ["the naive candidate was not refused"]


def test_the_tables_have_as_many_cells_as_heads() -> None:
    lines = [
        Line(model="m", target="cpu", candidate="a/none", quality="0.9", latencies_ms=(0.5, None, 123.4), verdict="passes"),
        Line(model="m", target="gpu", candidate="–", quality="–", verdict="not measured: no device"),
    ]
    text = page.tables([Row(what="w", wanted="x", found="y", holds=False, peers="z")], FALLBACK, [regret(1.2)], lines)
    found = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(found) == 4
    for table in found:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "| w | x | y | ✗ | z |" in text
    assert "| 0.5 | – | 123 |" in text
    assert "1.200 ✗" in text
