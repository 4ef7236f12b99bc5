"""What the page says of the gate's findings, of the measurement's health, of the target and of the graph."""

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from onnx import TensorProto, helper

from fdpipe import graphs
from fdpipe.artifacts import Artifact, Finding, Interval, Outcome, Pace, Record
from fdpipe.report import findings, graph, health, latency, tables, write_report
from fdpipe.report.headline import facts, headline
from fdpipe.report.junit import to_xml
from fdpipe.report.panels import panels
from fdpipe.report.picture import draw
from fdpipe.report.tables import CallKind, State
from fdpipe.store import LocalStore
from tests.report import example, example_crowd, example_gate
from tests.report.test_report import html, text


class TestHeadline:
    def test_what_could_not_be_decided_says_how_many_rows_would(self, tmp_path: Path) -> None:
        record = example_gate.undecided()
        seen = text(html(tmp_path, record))
        assert seen.index("inconclusive") < seen.index("No release")
        assert "About 1,163 evaluation rows would decide about onnxruntime/none; there are 360." in seen
        assert "Others took a core from a candidate in 31% of all blocks" in seen
        assert "took 1.041× (1.012–1.083) of its own time in a second process: this machine favours one of them" in seen
        assert facts(record) == []

    def test_a_candidate_that_lacks_more_than_rows_is_not_promised_any(self) -> None:
        record = example_gate.undecided()
        only = tuple(one for one in record.verdict.results if one.candidate == example_gate.DYNAMIC)
        assert findings.deciding_rows(replace(record, verdict=replace(record.verdict, results=only))) is None

    def test_what_is_too_noisy_has_no_winner(self) -> None:
        record = replace(example_gate.gated(), measured=example_gate.measured(noisy=True))
        assert {one.name: one.value for one in facts(record)}["speed"] == "too noisy to tell"
        assert headline(record).remarks[0].startswith("Too noisy to tell whether these are faster than the baseline: ")
        row = tables.candidates(record).rows[3]
        assert row[3] == "too noisy (0.44–0.46)"
        assert headline(example_gate.gated()).remarks == ()

    def test_the_release_bears_its_mark(self, tmp_path: Path) -> None:
        record = example_gate.marked()
        assert headline(record).marks == ("unbatchable",)
        assert tables.candidates(record).rows[2][-1] == "deployed (unbatchable)"
        assert '<span class="chip warned">unbatchable</span>' in html(tmp_path, record)


class TestCandidates:
    def test_one_given_up_early_is_no_failure(self, tmp_path: Path) -> None:
        record = example_gate.gated()
        table = tables.candidates(record)
        assert table.states[-2:] == (State.FAILED, State.GIVEN_UP)
        assert table.rows[-1][-1] == f"given up early: {example_gate.GIVEN_UP}"
        seen = text(html(tmp_path, record))
        absent = seen[seen.index("Without final figures") : seen.index("Parity The converted")]
        order = ["Failed", "int8_static+entropy", "Not measured", "runtime openvino", "Given up early", "float16"]
        assert [absent.index(one) for one in order] == sorted(absent.index(one) for one in order)


def test_the_next_best_is_not_told_in_the_words_of_the_best(tmp_path: Path) -> None:
    """Where the service of the best was refused, the page speaks of what was released, and says of whom it takes the place."""
    record = example.deployed()
    best, *others = record.verdict.passed
    assert record.release is not None
    second = next(trial.candidate for trial in record.trials if trial.candidate.name == others[0])
    found = headline(replace(record, release=replace(record.release, candidate=second)))
    assert found.title == second.name
    assert found.text.startswith(f"{second.name} passed every check")
    assert found.remarks[0] == f"{best} came first, and the service built from it was refused."
    assert headline(record).text == record.verdict.reason


class TestFindings:
    def test_every_check_has_its_findings(self) -> None:
        found = findings.by_candidate(example_gate.gated())
        assert found[0][0] == example.STATIC
        quality = found[0][2][0]
        assert quality.findings is not None
        assert quality.findings.rows[0] == (
            "accuracy", "0.0028 accuracy", "-0.0043 to 0.0099", "0.01", "pass", "360", "–",
        )  # fmt: skip
        assert found[0][2][1].findings is None

    def test_slices_have_a_table_and_pictures_of_who_ships_and_whom_they_refused(self) -> None:
        record = example_gate.gated()
        table = findings.details(record, "slices")
        assert table is not None
        assert len(table.rows) == 4 * 11
        assert table.rows[0][0] == example_gate.DYNAMIC, "the worst comes first"
        assert table.rows[0][5] == "fail"
        assert table.rows[1][5] == "inconclusive"
        assert (
            "by_column: written by left-handed people, in pencil", "–", "–", "–", "inconclusive", "4", "10",
        ) in [row[1:] for row in table.rows]  # fmt: skip
        drawn = findings.drawn(record, "slices")
        assert [one.title for one in drawn] == ["4  onnxruntime/int8_static", "3  onnxruntime/int8_dynamic"]
        assert [len(one.estimates) for one in drawn] == [10, 10]
        assert drawn[1].estimates[0].outcome is Outcome.FAIL
        assert drawn[0].limit == example_gate.SLICE_LIMIT
        assert len(findings.drawn(record, "robustness")) == 1
        assert findings.drawn(record, "nosuch") == ()
        assert findings.details(record, "nosuch") is None

    def test_the_p_value_stands_where_rows_are_right_or_wrong(self, tmp_path: Path) -> None:
        seen = text(html(tmp_path, example_crowd.crowded()))
        assert "what figure interval McNemar's p limit outcome" in seen
        assert "accuracy 0.002 -0.004 to 0.008 0.031 0.01 pass 360 –" in seen
        assert "McNemar" not in text(html(tmp_path, example_gate.gated()))
        cases = to_xml(example_crowd.crowded()).decode()
        assert "0.002 (-0.004 to 0.008), McNemar's p 0.031, limit 0.01" in cases

    def test_of_very_many_the_worst_are_seen_and_the_others_folded(self, tmp_path: Path) -> None:
        record = example_crowd.crowded()
        found = findings.details(record, "slices")
        assert found is not None
        most, others = found.parted(findings.MOST_FOUND)
        assert others is not None
        assert len(most.rows) + len(others.rows) == len(found.rows) > 4 * example_crowd.SLICES
        worst = f"by_column: place {example_crowd.SLICES // 2}"
        assert [row[1] for row in found.rows].index(worst) == 0
        assert worst not in [row[1] for row in others.rows]
        page = html(tmp_path, record)
        assert f"<summary>{len(others.rows)} more</summary>" in page
        assert f"<summary>{example_crowd.SLICES - findings.MOST_FOUND} more</summary>" in page

    def test_of_very_many_candidates_the_best_are_seen(self, tmp_path: Path) -> None:
        record = example_crowd.crowded()
        table = tables.candidates(record, every=False)
        first, others = table.parted(tables.MOST)
        assert others is not None
        assert (len(first.rows), first.rows[0][0]) == (tables.MOST, example.STATIC)
        assert State.REFUSED not in first.states
        assert first.numbers[0] == 4, "each keeps its number"
        seen = text(html(tmp_path, record))
        assert f"{len(others.rows)} more candidates" in seen
        judged = findings.by_candidate(record)
        assert [state for _, state, _ in judged[: findings.MOST_JUDGED]].count(State.REFUSED) == 0
        assert f"The checks of {len(judged) - findings.MOST_JUDGED} more" in seen
        assert max(len(one.curves) for one in latency.distributions(record)) == tables.MOST_NUMBERED

    def test_few_are_in_the_order_in_which_they_were_tried(self) -> None:
        table = tables.candidates(example_gate.gated(), every=False)
        assert list(table.numbers) == sorted(table.numbers)
        assert table.parted(tables.MOST) == (table, None)

    def test_many_are_drawn_in_part_and_several_metrics_told_apart(self) -> None:
        record = example_gate.gated()
        many = tuple(
            example_gate.loss(f"s{number}", ("accuracy", "f1")[number % 2], (0.0, 0.01, 0.02), 0.05) for number in range(30)
        )
        results = tuple(replace(one, findings=many) if one.check == "slices" else one for one in record.verdict.results)
        drawn = findings.drawn(replace(record, verdict=replace(record.verdict, results=results)), "slices")[0]
        assert drawn.axis == "loss, 12 of 30"
        assert [one.name for one in drawn.estimates[:2]] == ["s0, accuracy", "s1, f1"]

    def test_corrupted_rows_stand_beside_the_baselines(self, tmp_path: Path) -> None:
        table = findings.stress(example_gate.gated())
        assert table is not None
        assert table.columns == ("candidate", "noise", "blur", "missing")
        assert table.rows[3] == (example.STATIC, "0.9250 (-0.0056)", "0.8861 (-0.0056)", "0.9083 (-0.0056)")
        seen = text(html(tmp_path, example_gate.gated()))
        assert "Corrupted rows" in seen
        assert "Corrupted rows" not in text(html(tmp_path, example.deployed()))

    @pytest.mark.parametrize(
        ("quality", "reference", "loss", "higher", "wanted"),
        [
            (0.95, 0.97, (0.01, 0.02, 0.04), True, (0.93, 0.96)),  # in the metric's own unit
            (0.90, 1.50, (0.20, 0.40, 0.50), True, (0.75, 1.20)),  # relative to the original
            (0.30, 0.20, (0.05, 0.10, 0.20), False, (0.25, 0.40)),  # less is better
            (0.95, 0.97, (0.01, 0.50, 0.60), True, None),  # no loss that explains it
        ],
    )
    def test_the_interval_of_a_quality_is_that_of_its_loss(
        self,
        quality: float,
        reference: float,
        loss: tuple[float, float, float],
        higher: bool,
        wanted: tuple[float, float] | None,
    ) -> None:
        record = example.deployed()
        trial = record.trials[3]
        assert trial.evaluation is not None
        trial = replace(trial, evaluation=replace(trial.evaluation, quality={"m": quality}, reference={"m": reference}))
        finding = Finding(name="m", outcome=Outcome.PASS, low=loss[0], figure=loss[1], high=loss[2])
        results = tuple(
            replace(one, findings=(finding,)) if (one.check, one.candidate) == ("quality", example.STATIC) else one
            for one in record.verdict.results
        )
        record = replace(record, verdict=replace(record.verdict, results=results))
        found = findings.quality_interval(record, trial, "m", higher_is_better=higher)
        assert found == (None if wanted is None else pytest.approx(wanted))


class TestMeasurement:
    def test_its_health(self) -> None:
        record = example_gate.gated()
        assert dict(health.figures(record)) == {
            "load before and after": "0.41, 1.73",
            "blocks disturbed": "3.2%",
            "noise floor": "1.001× (0.994–1.007): the baseline beside itself",
            "why it ended": "every interval is narrower than benchmark.precision",
            "threads": "2",
        }
        table = health.paces(record)
        assert table is not None
        assert table.rows[1][1:4] == ("alike",) * 3
        assert table.rows[1][-1] == "surely no faster than the baseline after 64 blocks"

    def test_a_process_that_never_started_has_dashes(self) -> None:
        record = example_gate.gated()
        first, *others = record.measured.measurements
        dead = replace(first, candidate="onnxruntime/fused", timings=(), load_ms=None, first_call_ms=None, left="it was killed")
        measured = replace(record.measured, measurements=(first, dead, *others[1:]))
        table = health.paces(replace(record, measured=measured))
        assert table is not None
        assert table.rows[1] == ("onnxruntime/fused", "–", "–", "–", "–", "–", "it was killed")

    def test_lengths_are_kinds_of_call_of_their_own(self, tmp_path: Path) -> None:
        record = example_gate.gated()
        long = [
            replace(one, timings=tuple(replace(timing, length=128) for timing in one.timings[:1]) + one.timings)
            for one in record.measured.measurements
        ]
        record = replace(record, measured=replace(record.measured, measurements=tuple(long)))
        assert tables.calls(record)[:2] == [CallKind(batch=1, length=128), CallKind(batch=1)]
        assert "time, batch 1 × 128 tokens" in tables.candidates(record).columns
        assert panels(record)[0].title == "Batch 1 × 128 tokens"
        assert "batch 1 × 128 tokens" in text(html(tmp_path, record))

    def test_the_distributions(self, tmp_path: Path) -> None:
        found = latency.distributions(example_gate.gated())
        assert [one.title for one in found] == ["Batch 1", "Batch 8", "Batch 32"]
        assert [share for share, _ in found[0].curves[0].quantiles] == [0.5, 0.9, 0.99, 0.999]
        assert [share for share, _ in latency.distributions(example.deployed())[0].curves[0].quantiles] == [0.5, 0.9, 0.99]
        svg = draw(LocalStore(tmp_path / "store"), found).svgs[0]
        assert {"p50", "p99.9", "Batch 1", "ms a call"} <= set(re.findall(r">([^<>]+)</text>", svg))
        assert len(re.findall(r"fill: none; stroke: var\(--c\d\)", svg)) == 4


class TestPictures:
    def test_whiskers_of_quality_and_the_noise_floor(self, tmp_path: Path) -> None:
        record = example_gate.gated()
        panel = panels(record)[0]
        static = next(point for point in panel.points if point.number == 4)
        assert (static.quality_low, static.quality_high) == pytest.approx((0.9679, 0.9821))
        assert panel.noise == pytest.approx((0.121 * 0.994, 0.121 * 1.007))
        svg = draw(LocalStore(tmp_path / "store"), (panel,)).svgs[0]
        assert {"noise", "original"} <= set(re.findall(r">([^<>]+)</text>", svg))
        upright = r'd="M ([\d.]+) [\d.]+ \nL \1 [\d.]+ \n" style="fill: none; stroke: var\(--c(\d)\)'
        assert {number for _, number in re.findall(upright, svg)} == {"3", "4"}
        assert panels(example.deployed())[0].noise is None

    def test_intervals_are_coloured_by_what_they_decide(self, tmp_path: Path) -> None:
        svgs = draw(LocalStore(tmp_path / "store"), findings.drawn(example_gate.gated(), "slices")).svgs
        assert all(f"var(--{name})" in svgs[1] for name in ("good", "bad", "warn"))
        assert {"by_label: 8", "limit", "loss, accuracy"} <= set(re.findall(r">([^<>]+)</text>", svgs[1]))


def test_the_target_gives_figures_with_their_basis(tmp_path: Path) -> None:
    plan = example.plan()
    plan = replace(plan, target=replace(plan.target, price_per_hour=0.19))
    page = write_report(example_gate.gated(), plan, [], tmp_path, LocalStore(tmp_path / "store")).read_text()
    seen = text(page)
    part = seen[seen.index("What this target gives") : seen.index("The search")]
    assert re.search(r"energy of a row 0\.00031 J estimated cost of a million rows [\d.e-]+ USD derived", part)
    assert re.search(r"p50 [\d.]+ ms measured", part)
    bare = text(html(tmp_path, example.deployed()))
    assert "energy of a row – not measured cost of a million rows – not measured" in bare


def onnx_artifact(path: Path, *operators: str) -> Artifact:
    """A chain of these operators."""
    names = [f"t{number}" for number in range(len(operators) + 1)]
    nodes = [helper.make_node(one, [before], [after]) for one, before, after in zip(operators, names, names[1:], strict=False)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 4]) for name in (names[0], names[-1])]
    graphs.write(helper.make_model(helper.make_graph(nodes, "chain", ends[:1], ends[1:])), path)
    return Artifact(kind="onnx", path=path, digest=path.stem * 8, size_bytes=path.stat().st_size, inputs=(), outputs=())


class TestGraph:
    @pytest.fixture
    def record(self, tmp_path: Path) -> Record:
        """A release that has lost a node and got two new ones."""
        record = example.deployed()
        before = onnx_artifact(tmp_path / "before.onnx", "Relu", "Relu", "Tanh", "Identity")
        after = onnx_artifact(tmp_path / "after.onnx", "Relu", "Relu", "Sigmoid", "Sigmoid", "Tanh")
        assert record.release is not None
        return replace(
            record, baseline=replace(record.baseline, artifact=before), release=replace(record.release, artifact=after)
        )

    def test_its_nodes_are_counted_before_and_after(self, record: Record, tmp_path: Path) -> None:
        found = graph.operators(record, LocalStore(tmp_path / "store"))
        assert found is not None
        assert graph.table(found).rows == (
            ("all nodes", "4", "5", "+1"),
            ("Relu", "2", "2", "–"),
            ("Identity", "1", "0", "-1"),
            ("Tanh", "1", "1", "–"),
            ("Sigmoid", "0", "2", "+2"),
        )
        assert "4 nodes became 5" in text(html(tmp_path, record))

    def test_what_is_no_readable_onnx_file_is_left_out(self, record: Record, tmp_path: Path) -> None:
        store = LocalStore(tmp_path / "store")
        assert record.release is not None
        other = replace(record.release, artifact=replace(record.release.artifact, kind="openvino"))
        assert graph.operators(replace(record, release=other), store) is None
        assert graph.operators(replace(record, release=None), store) is None
        assert graph.operators(example.deployed(), store) is None
        broken = tmp_path / "broken.onnx"
        broken.write_bytes(b"no graph")
        bad = replace(record.release.artifact, path=broken, digest="b" * 64)
        assert graph.operators(replace(record, release=replace(record.release, artifact=bad)), store) is None


class TestMachines:
    def test_everything_is_in_the_json(self, tmp_path: Path) -> None:
        write_report(example_gate.gated(), example.plan(), [], tmp_path, LocalStore(tmp_path / "store"))
        found = json.loads((tmp_path / "report.json").read_text())
        assert found["version"] == 1
        assert found["health"]["noise"] == {"low": 0.994, "middle": 1.001, "high": 1.007}
        assert found["ended"].startswith("every interval")
        assert found["hardware"][0]["figures"]["energy"]["basis"] == "estimated"
        assert found["hardware"][0]["figures"]["cost"]["basis"] == "not measured"
        static = next(one for one in found["candidates"] if one["name"] == example.STATIC)
        assert [one["check"] for one in static["checks"]][-2:] == ["slices", "robustness"]
        assert static["checks"][-2]["findings"][0]["low"] == pytest.approx(0.009)
        assert static["stress"][0] == {
            "corruption": "noise", "rows": 360, "quality": {"accuracy": 0.925, "f1": 0.9244},
            "reference": {"accuracy": 0.9306, "f1": 0.93},
        }  # fmt: skip
        assert static["measurement"]["timings"][0]["pace"] == "faster"
        assert static["ratio"]["middle"] == pytest.approx(0.4697, abs=1e-4)
        beaten = found["candidates"][-1]
        assert (beaten["state"], beaten["beaten"]) == ("given up early", example_gate.GIVEN_UP)
        assert next(one for one in found["candidates"] if one["recipe"] == "int8_dynamic")["marks"] == ["unbatchable"]

    def test_no_figure_is_anything_but_a_number_or_null(self, tmp_path: Path) -> None:
        record = example_gate.gated()
        noise = Interval(low=float("nan"), middle=1.0, high=float("inf"))
        assert record.measured.health is not None
        restless = replace(record.measured, health=replace(record.measured.health, noise=noise))
        write_report(replace(record, measured=restless), example.plan(), [], tmp_path, LocalStore(tmp_path / "store"))

        def refuse(constant: str) -> None:
            raise AssertionError(constant)

        json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)


def test_a_noise_floor_that_was_asked_for_and_is_not_known_is_told() -> None:
    record, why = example_gate.gated(), "the baseline's second process was lost"
    assert record.measured.health is not None
    lost = replace(record.measured.health, noise=None, noise_unknown=why)
    record = replace(record, measured=replace(record.measured, health=lost))
    assert f"By how much this machine's noise moves the times is not known: {why}." in health.remarks(record)
    assert ("noise floor", why) in health.figures(record)


def test_a_pace_needs_no_measurement_of_the_baseline() -> None:
    record = example_gate.gated()
    one = record.measured.measurements[2]
    assert not health.undecided(record, one)
    assert health.undecided(record, replace(one, timings=tuple(replace(timing, pace=Pace.TOO_NOISY) for timing in one.timings)))
