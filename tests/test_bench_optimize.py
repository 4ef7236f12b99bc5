"""What the bench of the search is made of, as far as it can be wrong without a measurement."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from bench.optimize import page, race
from bench.optimize.everything import Everything, Extent
from bench.optimize.fallback import Fallback, Turn
from bench.optimize.processes import cost
from bench.optimize.race import Ratio, beside
from bench.optimize.recipe_tables import recipe_tables
from bench.optimize.recipes import Line
from bench.optimize.regret import PRECISION, WITHIN, Regret
from bench.optimize.remembered import remembered
from bench.optimize.row import Row, measured
from bench.optimize.rows import never_slower
from bench.optimize.run import Result, main
from fdpipe.artifacts import Trial
from fdpipe.space import Choice, Space

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
    text = page.tables([Row(what="w", wanted="x", found="y", holds=False, peers="z")], FALLBACK, [regret(1.2)], LINES)
    found = [part for part in text.split("\n\n") if part.startswith("|")]
    assert len(found) == 4
    for table in found:
        assert len({line.count("|") for line in table.splitlines()}) == 1
    assert "| w | x | y | ✗ | z |" in text
    assert "| cpu | a/none | 0.9 | 0.5 | – | 123 | 1.5 | – | passes |" in text
    assert "1.200 ✗" in text


LINES = [
    Line(
        model="m", target="cpu", candidate="a/none[threads=1]", quality="0.9", latencies_ms=(0.5, None, 123.4), size_mib=1.5,
        verdict="passes",
    ),
    Line(
        model="m", target="cpu", candidate="a/int8[arena=False,threads=1]", quality="0.9", size_mib=0.5, verdict="passes",
        diagnosis="9 Q | DQ are not fused",
    ),
    *(Line(model="m", target="cpu", candidate=name, quality="–", verdict="failed: no nodes") for name in ("a/one", "a/two")),
    Line(model="m", target="gpu", candidate="–", quality="–", verdict="not measured: no device"),
]  # fmt: skip


def test_what_has_no_figures_is_told_below_its_table() -> None:
    text = "\n".join(recipe_tables(LINES))
    table, below = text.partition("| a/int8[arena=False] |")[0], text.rpartition("|\n")[2]
    assert "a/one" not in table
    assert below.strip().splitlines() == [
        "- cpu, `a/int8[arena=False]`: 8 bits are no faster: 9 Q | DQ are not fused",
        "- cpu, `a/one`, `a/two`: not made: no nodes",
        "- gpu: not measured: no device",
    ]


def test_what_cannot_be_measured_is_a_row_that_was_missed_and_is_tried_anew(home: Path) -> None:
    def fails() -> list[Row]:
        raise LookupError("Olive was not measured\nat batch 1")

    (row,) = measured("resnet18", fails)
    assert (row.what, row.found, row.holds) == ("resnet18", "LookupError: Olive was not measured at batch 1", None)
    assert Result(rows=[row]).missed
    found = Row(what="w", wanted="x", found="y", holds=True)
    assert measured("resnet18", lambda: [found]) == [found] == measured("resnet18", fails)


# --- what is said of a measurement ------------------------------------------------------------------------------------


def ratio(low: float, high: float) -> Ratio:
    return Ratio(low=low, middle=(low + high) / 2, high=high)


@pytest.mark.parametrize(
    ("ratios", "holds", "told"),
    [
        ({1: ratio(3.0, 3.1), 8: ratio(0.98, 1.0)}, True, ""),
        ({1: ratio(3.0, 3.1), 8: ratio(0.9, 0.96)}, False, "; slower at 8"),
        ({1: ratio(0.9, 1.2), 8: ratio(0.98, 1.0)}, None, "; too noisy to tell at 1"),
        ({1: ratio(0.9, 1.2), 8: ratio(0.9, 0.96)}, False, "; slower at 8"),
    ],
)
def test_what_may_be_slower_is_not_shown_to_be_as_fast(ratios: Mapping[int, Ratio], holds: bool | None, told: str) -> None:
    assert never_slower(ratios) == (holds, told)


def test_one_beside_another_is_known_no_better_than_both() -> None:
    found = beside(ratio(2.9, 3.1), ratio(1.9, 2.1))
    assert (found.low, found.middle, found.high) == pytest.approx((2.9 / 2.1, 1.5, 3.1 / 1.9))


def test_what_is_said_to_three_per_cent_is_measured_to_one() -> None:
    assert race.SETTINGS.precision <= (WITHIN - 1) / 3
    assert PRECISION <= (WITHIN - 1) / 3


def test_the_interval_stands_behind_a_ratio_and_gates_that_let_nothing_pass_are_counted() -> None:
    nothing = replace(regret(1.0), chosen="nothing", best="nothing")
    text = page.tables([], None, [replace(regret(1.02), low=1.01, high=1.031), nothing], [])
    assert "| 1.020 (1.010–1.031) |" in text
    assert "Under 1 of these gates nothing passes" in text
    assert "nothing passes, and" not in page.tables([], None, [regret(1.0)], [])


def test_what_is_not_known_is_not_shown() -> None:
    assert "| – | not shown |" in page.tables([Row(what="w", wanted="x", found="–", holds=None)], None, [], [])
