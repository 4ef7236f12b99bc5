"""The gate's bench: what it names, what it writes, and that it measures by the engine itself."""

from pathlib import Path

import pytest

from bench.gate import page, quality, run, speed
from bench.gate.kept import Kept
from bench.gate.page import Row
from bench.gate.speed import Trial

ROWS = [
    Row(what="one", wanted="≥ 1", found="2", holds=True),
    Row(what="other", wanted="≥ 1", found="0", holds=False),
    Row(what="beside", wanted="", found="3"),
]


def test_the_page_tells_every_row_and_where_it_was_measured() -> None:
    written = page.page({"Speed": ROWS}, {"Speed": "In so many words."})
    assert written.startswith("# The gate, measured\n")
    assert "cores" in written
    for line in ("## Speed", "In so many words.", "| one | ≥ 1 | 2 | ✓ |", "| other | ≥ 1 | 0 | ✗ |", "| beside |  | 3 |  |"):
        assert f"\n{line}\n" in written


def trial(*, sure: bool = True, different: bool = False, seconds: float = 1.0) -> Trial:
    return Trial(sure=sure, order=True, different=different, mean=False, median=True, seconds=seconds)


def test_what_is_wanted_is_held_against_what_was_found() -> None:
    good = speed.table([trial()] * 95 + [trial(sure=False, different=True)] * 5)
    assert [row.holds for row in good] == [True, True, None, None, None, None]
    assert [row.found for row in good[:2]] == ["95 of 100, in 1.0 s", "5 of 100"]
    bad = speed.table([trial()] * 94 + [trial(sure=False, different=True)] * 6)
    assert [row.holds for row in bad[:2]] == [False, False]


def test_a_trial_asks_the_engine_beside_a_neighbour_and_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = Kept("speed", speed.MEASURED, {"seconds": 0.3}, tmp_path)
    (found,) = speed.trials(1, kept, seconds=0.3)
    assert found.sure <= found.order
    assert not (found.sure and found.noisy)
    assert found.seconds > 0
    assert capsys.readouterr().out.startswith("trial 1 of 1: ")
    assert speed.trials(1, kept, seconds=0.3) == [found]
    assert capsys.readouterr().out == "1 of 1 trials were made before\n"


def test_what_was_cut_short_is_made_again_and_what_is_whole_is_kept(tmp_path: Path) -> None:
    own = tmp_path / "part.py"
    own.write_text("")
    kept = Kept("part", [own], {"seconds": 1}, tmp_path)
    kept.add(0, trial(seconds=1.0))
    (path,) = tmp_path.glob("part-*.jsonl")
    path.write_text(path.read_text() + '\n{"number": 1, "tri')
    kept.add(2, trial(seconds=3.0))
    assert {number: Trial(**fields) for number, fields in kept.read().items()} == {0: trial(seconds=1.0), 2: trial(seconds=3.0)}
    assert Kept("part", [own], {"seconds": 2}, tmp_path).read() == {}, "of other settings"
    own.write_text("changed = True")
    assert Kept("part", [own], {"seconds": 1}, tmp_path).read() == {}, "of other code"
    kept.forget()
    assert kept.read() == {}


def test_simulated_candidates_are_judged_and_what_came_of_them_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    every = quality.cells()
    assert len({(one.world.name, one.rows, one.limit) for one in every}) == len(every)
    picked = [next(one for one in every if one.limit is None), *every[-2:]]
    kept = Kept("quality", quality.MEASURED, {"trials": 20}, tmp_path)
    found = quality.table(picked[:1], 20, kept)
    assert "1 of 1: accuracy, all loss: true drop = limit = 0.0100, 300 rows: " in capsys.readouterr().out
    assert found[0].wanted.startswith("at most 5% pass (+ ")
    found = quality.table(picked, 20, kept)
    assert capsys.readouterr().out.startswith("1 of 3 were found before\n2 of 3: ")
    assert [row.wanted for row in found[1:]] == ["at least 90% inconclusive", "at least 90% pass"]
    assert [row.holds for row in found] == [True, True, True]


def test_a_word_that_means_nothing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["sped"]) == 2
    assert "knows no sped: it has speed, quality, --trials=NUMBER, --fresh" in capsys.readouterr().err
    assert run.main(["speed", "--trials=few"]) == 2
