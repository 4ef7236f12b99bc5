"""The report says what happened, in one file that needs nothing else."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from fdpipe.artifacts import Candidate, Outcome, Record, Rejection, Verdict
from fdpipe.progress import Event
from fdpipe.report import latency, parity, searching, summary, tables, write_report
from fdpipe.report.page import breakable
from fdpipe.report.panels import front, panels
from fdpipe.report.pareto import Point
from fdpipe.report.picture import draw
from fdpipe.report.stages import stage_rows
from fdpipe.report.tables import State
from fdpipe.store import LocalStore
from fdpipe.testing import FakeMetric
from tests.report import example, example_search


def html(folder: Path, record: Record) -> str:
    store = LocalStore(folder / "store")
    return write_report(record, example.plan(), example.events(), folder, store).read_text()


def text(page: str) -> str:
    """What a reader sees."""
    body = page.partition("<body>")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).replace("&#39;", "'").split())


def without_finalists() -> Record:
    """Only the baseline was measured; two candidates failed."""
    record = example.deployed()
    trials = (record.trials[0], *record.trials[4:])
    measured = replace(record.measured, measurements=record.measured.measurements[:1])
    results = tuple(result for result in record.verdict.results if result.candidate == "onnxruntime/none")
    verdict = replace(record.verdict, passed=("onnxruntime/none",), results=results)
    assert record.release is not None
    release = replace(record.release, candidate=trials[0].candidate)
    return replace(record, trials=trials, measured=measured, verdict=verdict, release=release)


class TestPage:
    def test_the_verdict_comes_first(self, tmp_path: Path) -> None:
        seen = text(html(tmp_path, example.deployed()))
        start = seen.index("onnxruntime/int8_static")
        assert start < seen.index("http://127.0.0.1:3000") < seen.index("Candidates")
        assert "takes 0.47 (0.46–0.48) of the baseline's time" in seen

    def test_it_has_the_certificate(self, tmp_path: Path) -> None:
        seen = text(html(tmp_path, example.deployed()))
        assert "labels that differ 0 (0.00%)" in seen
        assert "precision float32" in seen
        assert "extreme alike; 2 within the original's own rounding 647 0 2e-06 1.1e-06" in seen
        assert "Found array with 0 sample(s) (shape=(0, 64)) while a minimum of 1 is required by LogisticRegression." in seen
        assert "why not float32" not in seen
        cured = text(html(tmp_path, example.cured()))
        assert "precision float64 why not float32 in float32, the export answers otherwise on the rows" in cured

    def test_tensors_have_a_cosine(self, tmp_path: Path) -> None:
        record = example.deployed()
        first, *others = record.baseline.parity.cases
        tensors = replace(record.baseline.parity, cases=(replace(first, cosine=0.99999987), *others))
        seen = text(html(tmp_path, replace(record, baseline=replace(record.baseline, parity=tensors))))
        assert "smallest cosine 1.000000" in seen

    def test_a_certificate_of_the_data_alone(self, tmp_path: Path) -> None:
        record = example.deployed()
        bare = replace(record.baseline.parity, cases=(), digest="")
        seen = text(html(tmp_path, replace(record, baseline=replace(record.baseline, parity=bare), proof=None)))
        assert "rows compared 360" in seen
        assert "99 % are below" not in seen

    def test_a_rejection_says_which_check_and_what_goes_on_running(self, tmp_path: Path) -> None:
        seen = text(html(tmp_path, example.rejected()))
        assert "quality: onnxruntime/none lost 0.0000 accuracy" in seen
        assert "Release 3f1a7c9be2d4 keeps running, untouched." in seen
        assert "http://" not in seen
        first = text(html(tmp_path, replace(example.rejected(), incumbent=None)))
        assert "Nothing was deployed." in first

    def test_a_dry_run_and_a_release_that_ran_already(self, tmp_path: Path) -> None:
        record = example.deployed()
        assert record.deployment is not None
        dry = replace(record, deployment=replace(record.deployment, url=""))
        assert "proved, and not deployed" in text(html(tmp_path, dry))
        same = replace(record, deployment=replace(record.deployment, changed=False))
        assert "was running already" in text(html(tmp_path, same))

    def test_it_has_everything(self, tmp_path: Path) -> None:
        seen = text(html(tmp_path, example.deployed()))
        for part in (
            "empty histogram",  # a failed trial's reason
            "pip install 'fdpipe[openvino]'",  # a skipped runtime's
            "4 of 360 answers change with the batch",
            "4.2e-07 (allowed 1e-05)",  # parity
            "minmax, 287 rows 3f1a7c9be2d4, 2 tensors; 99.87% of the evaluation values lie inside",
            "bentoml, oip-rest",
            "publish",
            "2 ms reused",
            example.DIGEST,
            "onnxruntime 1.32.0",
            "Xeon(R) Platinum 8481C",
        ):
            assert part in seen

    @pytest.mark.parametrize("record", [example.deployed(), example.rejected(), without_finalists()])
    def test_it_needs_nothing_else(self, tmp_path: Path, record: Record) -> None:
        page = html(tmp_path, record)
        assert "<script" not in page
        assert not re.search(r"""(src|href)=["'](?!data:|#|http://127\.0\.0\.1:3000")""", page)
        assert not re.search(r"url\(|@import", page)

    def test_names_are_escaped(self, tmp_path: Path) -> None:
        record = example.deployed()
        name = '<img src=x onerror=alert(1)>&"'
        evil = replace(record.trials[0], candidate=Candidate(runtime="onnxruntime", recipe=name))
        first = replace(record.measured.measurements[0], candidate=evil.candidate.name)
        measured = replace(
            record.measured, measurements=(first, *record.measured.measurements[1:]), baseline=evil.candidate.name
        )
        page = html(tmp_path, replace(record, trials=(evil, *record.trials[1:]), measured=measured))
        assert "<img" not in page

    def test_a_long_name_breaks_where_a_part_of_it_ends(self) -> None:
        assert breakable("ort/int8[a=1,b=<2>]") == "ort/<wbr>int8<wbr>[a=1,<wbr>b=&lt;2&gt;]"

    def test_only_a_baseline(self, tmp_path: Path) -> None:
        assert "the baseline itself" in text(html(tmp_path, without_finalists()))

    def test_an_inconclusive_check_says_so(self, tmp_path: Path) -> None:
        record = example.rejected()
        results = tuple(
            replace(result, outcome=Outcome.INCONCLUSIVE if result.check == "quality" else result.outcome)
            for result in record.verdict.results
        )
        verdict = Verdict(outcome=Outcome.INCONCLUSIVE, passed=(), results=results, reason="too noisy")
        assert "quality (inconclusive)" in text(html(tmp_path, replace(record, verdict=verdict)))


class TestTables:
    def test_candidates(self) -> None:
        table = tables.candidates(example.deployed())
        assert table.columns == (
            "candidate", "accuracy", "f1", "time, batch 1", "time, batch 8", "time, batch 32", "p50, batch 1", "size",
            "memory", "outcome",
        )  # fmt: skip
        assert table.rows[0][:6] == ("onnxruntime/none", "0.9778 (±0)", "0.9772 (±0)", *["1 (baseline)"] * 3)
        assert table.rows[3] == (
            "onnxruntime/int8_static", "0.9750 (-0.0028)", "0.9744 (-0.0028)", "0.45× (0.44–0.46)", "0.47× (0.46–0.48)",
            "0.49× (0.48–0.50)", "0.0544 ms", "1.08 MiB", "71.3 MiB", "deployed",
        )  # fmt: skip
        assert table.rows[2][-1] == "refused: batch_invariance"
        assert table.rows[4][-1].startswith("failed: the quantized model has an empty histogram")
        assert set(table.rows[4][1:-1]) == {"–"}
        assert table.states == (State.PASSED, State.PASSED, State.REFUSED, State.DEPLOYED, State.FAILED)
        assert {len(row) for row in table.rows} == {len(table.columns)}

    def test_no_finalist_has_its_first_impression(self) -> None:
        record = example.deployed()
        slow = replace(
            record.trials[0],
            candidate=Candidate(runtime="onnxruntime", recipe="slow"),
            speed=replace(record.measured, measurements=(example.measurement("slow", {1: 2.0, 8: 2.0, 32: 2.0}, 100),)),
        )
        row = tables.candidates(replace(record, trials=(*record.trials, slow))).rows[-1]
        assert row[3] == "2.00× (1.96–2.04)"
        assert row[-1] == "no finalist"

    def test_a_missing_figure_is_a_dash(self) -> None:
        record = example.deployed()
        first = record.trials[0]
        assert first.evaluation is not None
        bare = replace(first, evaluation=replace(first.evaluation, quality={"accuracy": None, "f1": 0.9}))
        table = tables.candidates(replace(record, trials=(bare, *record.trials[1:])))
        assert table.rows[0][1] == "– (–)"

    def test_cases(self) -> None:
        certificate = example.deployed().baseline.parity
        table = parity.cases(certificate)
        assert table.columns == ("case", "outcome", "rows", "labels that differ", "largest difference", "99 % are below")
        assert table.rows[0] == ("evaluation", "alike", "360", "0", "4.2e-07", "3.6e-07")
        assert table.rows[3] == ("empty", f"not taken: {example.NO_SAMPLE}", *"––––")
        tensors = replace(certificate, cases=(replace(certificate.cases[0], cosine=0.99999987), certificate.cases[3]))
        table = parity.cases(tensors)
        assert table.columns[-1] == "cosine"
        assert [row[-1] for row in table.rows] == ["1.000000", "–"]
        assert {len(row) for row in table.rows} == {len(table.columns)}

    def test_latencies(self) -> None:
        table = latency.timings(example.deployed())
        assert len(table.rows) == 4 * 3
        assert table.rows[-1][:5] == ("onnxruntime/int8_static", "batch 32", "0.49× (0.48–0.50)", "faster", "0.181 ms")


def drawn(folder: Path, record: Record) -> tuple[str, ...]:
    return draw(LocalStore(folder / "store"), panels(record)).svgs


def dots(svg: str) -> dict[int, tuple[float, float]]:
    """Where each candidate's dot lies, from the left and from the top."""
    found = re.findall(r'<use [^>]*x="([\d.]+)" y="([\d.]+)" style="fill: var\(--c(\d)\)"', svg)
    return {int(number): (float(x), float(y)) for x, y, number in found}


def numbers(svg: str) -> dict[int, tuple[float, float]]:
    """Where each candidate's number lies."""
    found = re.findall(r'fill: var\(--c\d\)" x="([\d.]+)" y="([\d.]+)"[^>]*>(\d+)</text>', svg)
    return {int(number): (float(x), float(y)) for x, y, number in found}


class TestPicture:
    def test_a_panel_for_each_batch_size_with_every_finalist(self, tmp_path: Path) -> None:
        svgs = drawn(tmp_path, example.deployed())
        titles = ["Batch 1", "Batch 8", "Batch 32", "Size", "Memory"]
        for svg, title, axis in zip(svgs, titles, [*["ms a call"] * 3, "MiB", "MiB, the whole process"], strict=True):
            assert set(dots(svg)) == set(numbers(svg)) == {1, 2, 3, 4}
            assert {title, "accuracy", axis, "original"} <= set(re.findall(r">([^<>]+)</text>", svg))

    def test_left_is_faster_and_up_is_better(self, tmp_path: Path) -> None:
        at = dots(drawn(tmp_path, example.deployed())[0])
        assert at[4][0] < at[3][0] < at[1][0]
        assert at[1][1] < at[4][1]
        assert all(0 < x < 320 and 0 < y < 240 for x, y in at.values())

    def test_whiskers_span_the_interval_and_the_baseline_has_none(self, tmp_path: Path) -> None:
        svg = drawn(tmp_path, example.deployed())[0]
        line = r'd="M ([\d.]+) [\d.]+ \nL ([\d.]+) [\d.]+ \n" style="fill: none; stroke: var\(--c(\d)\)'
        found = {int(number): (float(low), float(high)) for low, high, number in re.findall(line, svg)}
        assert set(found) == {2, 3, 4}
        for number, (low, high) in found.items():
            assert low < dots(svg)[number][0] < high

    def test_no_number_covers_another(self, tmp_path: Path) -> None:
        for svg in drawn(tmp_path, example.deployed()):
            spots = list(numbers(svg).values())
            for number, (x, y) in enumerate(spots):
                assert all(abs(x - other[0]) >= 11.9 or abs(y - other[1]) >= 11.9 for other in spots[:number])

    def test_fonts_and_colours_are_the_pages(self, tmp_path: Path) -> None:
        page = html(tmp_path, example.deployed())
        svgs = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
        assert len(svgs) == 8
        for svg in svgs:
            assert not re.search(r"#[0-9a-f]{6}\b|font-family|<style|<metadata", svg)
            assert re.search(r'role="img" aria-label="(accuracy over |milliseconds of one call, )', svg)
        for variable in set(re.findall(r"var\((--\w+)\)", "".join(svgs))):
            assert page.count(f"{variable}: #") == 2  # light and dark
        ids = re.findall(r' id="([^"]*)"', page)
        assert len(ids) == len(set(ids))

    def test_the_same_figures_give_the_same_picture_whatever_is_set(self, tmp_path: Path) -> None:
        import matplotlib

        first = draw.work(tmp_path, panels(example.deployed()))
        with matplotlib.rc_context({"font.size": 31, "axes.facecolor": "red", "svg.fonttype": "path"}):
            before = dict(matplotlib.rcParams)
            assert draw.work(tmp_path, panels(example.deployed())) == first
            assert dict(matplotlib.rcParams) == before

    def test_one_candidate_alone_and_none_with_a_figure(self, tmp_path: Path) -> None:
        record = without_finalists()
        assert len(drawn(tmp_path, record)) == 5
        first = record.trials[0]
        assert first.evaluation is not None
        bare = replace(first, evaluation=replace(first.evaluation, quality={"accuracy": None}))
        assert panels(replace(record, trials=(bare,))) == ()
        assert "Quality and what it costs" not in html(tmp_path, replace(record, trials=(bare, *record.trials[1:])))

    def test_which_way_is_better_is_said(self, tmp_path: Path) -> None:
        class Loss(FakeMetric):
            higher_is_better = False

        plan = replace(example.plan(), metric={"accuracy": Loss()})
        page = write_report(example.deployed(), plan, [], tmp_path, LocalStore(tmp_path / "store")).read_text()
        assert "Down is better" in page
        assert "Up is better" in html(tmp_path, example.deployed())

    def test_pictures_that_are_remembered_need_no_matplotlib(self, tmp_path: Path) -> None:
        program = (
            "import sys; from pathlib import Path; from tests.report import example, test_report\n"
            "test_report.html(Path(sys.argv[1]), example.deployed())\n"
            "print(*(name for name in ('matplotlib', 'matplotlib.pyplot') if name in sys.modules))"
        )
        command = [sys.executable, "-c", program, str(tmp_path)]
        root = Path(__file__).parents[2]
        loaded, pages = [], []
        for _ in range(2):
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=120)
            loaded.append(done.stdout.strip())
            pages.append((tmp_path / "report.html").read_text())
        assert loaded == ["matplotlib", ""]
        assert pages[0] == pages[1]


class TestSummary:
    def test_for_machines(self, tmp_path: Path) -> None:
        record = example.deployed()
        write_report(record, example.plan(), example.events(), tmp_path, LocalStore(tmp_path / "store"))
        found = json.loads((tmp_path / "report.json").read_text())
        assert found["outcome"] == "deployed"
        assert found["plan"] == example.plan().digest
        assert found["deployment"]["url"] == "http://127.0.0.1:3000"
        static = next(one for one in found["candidates"] if one["recipe"] == "int8_static")
        assert static["state"] == "deployed"
        assert static["quality"]["accuracy"] == 0.975
        assert static["measurement"]["timings"][0]["ratio"]["middle"] == 0.45
        assert static["calibration"] == {
            "method": "minmax", "rows": 287, "digest": example.DIGEST, "coverage": 0.99874, "coverage_by_input": {},
        }  # fmt: skip
        assert found["data"]["calibration"]["rows"] == 287
        assert [case["name"] for case in found["parity"]["cases"]][:2] == ["evaluation", "alone"]
        assert found["parity"]["digest"] == example.DIGEST
        assert "path" not in found["parity"]
        assert found["stages"][0] == {"step": "resolve", "depth": 0, "outcome": "done", "seconds": 0.41, "detail": ""}

    def test_a_rejection(self, tmp_path: Path) -> None:
        write_report(example.rejected(), example.plan(), [], tmp_path, LocalStore(tmp_path / "store"))
        found = json.loads((tmp_path / "report.json").read_text())
        assert found["outcome"] == "rejected"
        assert found["reason"].startswith("quality: onnxruntime/none")
        assert found["release"] is None
        assert found["deployment"] is None

    @pytest.mark.parametrize(
        ("came_of", "word"),
        [(Outcome.FAIL, "rejected"), (Outcome.INCONCLUSIVE, "inconclusive"), (Outcome.ANOMALOUS, "anomalous")],
    )
    def test_a_refusal_bears_its_own_word(self, came_of: Outcome, word: str) -> None:
        record = replace(example.rejected(), rejection=Rejection(outcome=came_of, reason="why"))
        assert summary.outcome(record) == word

    def test_what_answers_nowhere_is_not_deployed(self) -> None:
        record = example.deployed()
        assert record.deployment is not None
        assert summary.outcome(replace(record, deployment=replace(record.deployment, url=""))) == "packaged"
        assert summary.outcome(replace(record, deployment=None)) == "packaged"


def test_stages_that_ran_beside_each_other_are_told_apart() -> None:
    events = [
        Event(kind="start", step="trial a", depth=0),
        Event(kind="start", step="optimize", depth=1),
        Event(kind="start", step="trial b", depth=0),
        Event(kind="start", step="optimize", depth=1),
        Event(kind="note", step="optimize", depth=1, detail="something"),
        Event(kind="reused", step="optimize", depth=1, seconds=1.0),
        Event(kind="done", step="optimize", depth=1, seconds=2.0),
        Event(kind="failed", step="trial b", depth=0, seconds=3.0, detail="why"),
        Event(kind="done", step="unknown", depth=0, seconds=9.0),
    ]
    rows = stage_rows(events)
    assert [(row.step, row.outcome, row.seconds) for row in rows] == [
        ("trial a", "running", None),
        ("optimize", "done", 2.0),
        ("trial b", "failed", 3.0),
        ("optimize", "reused", 1.0),
    ]


class TestSearch:
    def test_many_trials_make_a_short_list(self, tmp_path: Path) -> None:
        record = example_search.searched()
        short = tables.candidates(record, every=False)
        assert short.numbers == (1, 2, 3, 4)
        assert tables.candidates(record).numbers == tuple(range(1, 11))
        seen = text(html(tmp_path, record))
        assert "All 10 that were tried" in seen
        assert "that were tried" not in text(html(tmp_path, example.deployed()))

    def test_the_story_says_why_and_what_came_of_it(self) -> None:
        table = searching.story(example_search.searched())
        rows = dict(zip(table.numbers, table.rows, strict=True))
        assert rows[1][3:] == ("1 (baseline)", "passed")
        assert rows[4][3] == "0.47× (0.46–0.48)"
        assert rows[6][1] == "8 bits by the library's own defaults"
        assert rows[6][4].startswith("quality: lost 0.0917 accuracy")
        assert rows[7][1].startswith(f"{example_search.WORST[0]} back to float")
        assert rows[8][3:] == ("1.13× (1.11–1.16)", "no finalist")
        assert rows[9][4].startswith("no GPU is here")
        assert rows[10][4] == "2 nodes cannot be taken"
        assert table.states[5:] == (State.REFUSED, State.REFUSED, State.NO_FINALIST, State.NOT_MEASURED, State.FAILED)

    def test_where_it_loses_and_what_stands_in_the_way(self, tmp_path: Path) -> None:
        seen = text(html(tmp_path, example_search.searched()))
        assert "MatMul_output_0 MatMul 9.4 dB 18.40% 4.1%" in seen
        assert "61 % of its time goes into nodes that compute in float" in seen
        assert "TreeEnsembleClassifier, scores no importer registered for it" in seen
        assert len(searching.losses(example_search.searched())) == 1
        assert "What stands in the way" not in text(html(tmp_path, example.deployed()))

    def test_small_dots_are_those_that_were_no_finalists(self, tmp_path: Path) -> None:
        record = example_search.searched()
        first = panels(record)[0]
        assert {point.number: point.is_finalist for point in first.points} == {
            **dict.fromkeys((1, 2, 3, 4), True), **dict.fromkeys((6, 7, 8), False),
        }  # fmt: skip
        assert set(numbers(drawn(tmp_path, record)[0])) == {1, 2, 3, 4}

    def test_the_front_has_what_nothing_is_better_than(self) -> None:
        points = [
            Point(number=number, low=cost, middle=cost, high=cost, quality=quality)
            for number, (cost, quality) in enumerate([(1.0, 0.9), (2.0, 0.95), (2.0, 0.9), (3.0, 0.95), (0.5, 0.2)], start=1)
        ]
        assert front(points, higher_is_better=True) == (1, 2, 5)
        assert front(points, higher_is_better=False) == (5,)

    def test_machines_read_it_too(self, tmp_path: Path) -> None:
        write_report(example_search.searched(), example.plan(), [], tmp_path, LocalStore(tmp_path / "store"))
        found = json.loads((tmp_path / "report.json").read_text())["candidates"]
        assert found[6]["floats"] == [example_search.WORST[0]]
        assert found[6]["refusals"][0]["check"] == "quality"
        assert found[6]["sensitivity"][0]["snr_db"] == 9.4
        assert found[8]["unmeasured"].startswith("no GPU")
        assert found[9]["unsupported"][0]["operator"] == "TreeEnsembleClassifier"
