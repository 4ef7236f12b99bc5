"""The gate's bench: what it names, what it writes, and that it measures by the engine itself."""

import pytest

from bench.gate import page, run, speed
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


def test_what_is_wanted_is_held_against_what_was_found() -> None:
    def trial(*, sure: bool = True, different: bool = False) -> Trial:
        return Trial(sure=sure, order=True, different=different, mean=False, median=True, seconds=1.0)

    good = speed.table([trial()] * 95 + [trial(sure=False, different=True)] * 5)
    assert [row.holds for row in good] == [True, True, None, None, None, None]
    assert [row.found for row in good[:2]] == ["95 of 100, in 1.0 s", "5 of 100"]
    bad = speed.table([trial()] * 94 + [trial(sure=False, different=True)] * 6)
    assert [row.holds for row in bad[:2]] == [False, False]


def test_a_trial_asks_the_engine_beside_a_neighbour() -> None:
    (found,) = speed.trials(1, seconds=0.3)
    assert found.sure <= found.order
    assert not (found.sure and found.noisy)
    assert found.seconds > 0


def test_a_word_that_means_nothing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["sped"]) == 2
    assert "knows no sped: it has speed, quality" in capsys.readouterr().err
    assert run.main(["speed", "--trials=few"]) == 2
