"""The verdict for CI systems: in the form that they read, and as red as it is."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fdpipe.artifacts import CheckResult, Outcome, Record, Rejection
from fdpipe.report import write_report
from fdpipe.report.junit import to_xml
from fdpipe.store import LocalStore
from tests.report import example, example_gate, example_search

SCHEMA = {
    "testsuites": ({"name"}, {"tests", "failures", "errors", "time"}, {"testsuite"}),
    "testsuite": (
        {"name", "tests", "failures", "errors"},
        {"skipped", "time", "timestamp", "hostname", "id", "package", "group", "file", "log", "url"},
        {"properties", "testcase", "testsuite", "system-out", "system-err"},
    ),
    "properties": (set(), set(), {"property"}),
    "property": ({"name", "value"}, set(), set()),
    "testcase": (
        {"name"}, {"classname", "time", "group"}, {"failure", "error", "skipped", "system-out", "system-err"},
    ),
    "failure": (set(), {"type", "message"}, set()),
    "error": (set(), {"type", "message"}, set()),
    "skipped": (set(), {"type", "message"}, set()),
    "system-out": (set(), set(), set()),
}  # fmt: skip
"""What Jenkins' schema (junit-10.xsd of its xunit plug-in) allows, by element: required attributes, others, children."""

RUNS = {
    "deployed": example.deployed(),
    "rejected": example.rejected(),
    "gated": example_gate.gated(),
    "undecided": example_gate.undecided(),
    "marked": example_gate.marked(),
    "searched": example_search.searched(),
}


def parsed(record: Record) -> ElementTree.Element:
    return ElementTree.fromstring(to_xml(record))


def case(root: ElementTree.Element, candidate: str, check: str) -> ElementTree.Element:
    """The one testcase of that name."""
    (found,) = [one for one in root.iter("testcase") if (one.get("classname"), one.get("name")) == (candidate, check)]
    return found


def came_of(found: ElementTree.Element) -> str:
    """The element that tells it, or `pass`."""
    told = [one.tag for one in found if one.tag != "system-out"]
    assert len(told) <= 1
    return told[0] if told else "pass"


@pytest.mark.parametrize("record", RUNS.values(), ids=RUNS)
class TestForm:
    def test_it_is_what_jenkins_allows(self, record: Record) -> None:
        for element in parsed(record).iter():
            required, others, children = SCHEMA[element.tag]
            assert required <= set(element.keys()) <= required | others
            assert {child.tag for child in element} <= children

    def test_the_counts_are_right(self, record: Record) -> None:
        root = parsed(record)
        for kind in ("failure", "error"):
            assert int(root.attrib[f"{kind}s"]) == len(list(root.iter(kind)))
        for suite in root:
            assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
            for kind, name in (("failure", "failures"), ("error", "errors"), ("skipped", "skipped")):
                assert int(suite.attrib[name]) == len(suite.findall(f"testcase/{kind}"))

    def test_no_two_have_one_name(self, record: Record) -> None:
        """GitLab drops the second of them."""
        names = [(one.get("classname"), one.get("name")) for one in parsed(record).iter("testcase")]
        assert len(names) == len(set(names))

    def test_it_is_red_exactly_where_nothing_was_released(self, record: Record) -> None:
        root = parsed(record)
        red = len(list(root.iter("failure"))) + len(list(root.iter("error")))
        assert (red > 0) == (record.rejection is not None)

    def test_every_candidate_and_every_check_is_there(self, record: Record) -> None:
        root = parsed(record)
        assert {suite.get("name") for suite in root} == {"verdict", *(trial.candidate.name for trial in record.trials)}
        for result in record.verdict.results:
            case(root, result.candidate, result.check)


class TestOutcomes:
    def test_a_refusal_is_a_failure_with_its_reason(self) -> None:
        found = case(parsed(example.rejected()), "onnxruntime/none", "quality")
        (told,) = list(found)
        assert (told.tag, told.get("type")) == ("failure", "fail")
        assert told.text == told.get("message")
        assert (told.text or "").endswith("must gain 1.0000")

    def test_what_could_not_be_decided_is_an_error_and_no_pass(self) -> None:
        root = parsed(example_gate.undecided())
        assert came_of(case(root, "onnxruntime/none", "quality")) == "error"
        assert came_of(case(root, "fdpipe digits on cpu", "release")) == "error"
        said = case(root, example_gate.DYNAMIC, "slices").findtext("system-out") or ""
        assert "by_label: 8: fail, 0.111 (0.089 to 0.137) accuracy, limit 0.05" in said
        assert "in pencil: inconclusive, no figure, 10 rows would decide" in said

    def test_what_is_too_good_is_a_failure_of_its_own_kind(self) -> None:
        record = example.rejected()
        results = tuple(
            replace(one, outcome=Outcome.ANOMALOUS if one.check == "quality" else one.outcome) for one in record.verdict.results
        )
        verdict = replace(record.verdict, outcome=Outcome.ANOMALOUS, results=results)
        rejection = Rejection(outcome=Outcome.ANOMALOUS, reason="too good to be true")
        root = parsed(replace(record, verdict=verdict, rejection=rejection))
        assert case(root, "fdpipe digits on cpu", "release")[0].get("type") == "anomalous"
        assert came_of(case(root, "onnxruntime/none", "quality")) == "failure"

    def test_where_another_was_released_a_refusal_is_no_fault_of_the_build(self) -> None:
        root = parsed(example_gate.gated())
        told = case(root, example_gate.DYNAMIC, "slices")
        assert came_of(told) == "skipped"
        assert (told[0].get("message") or "").startswith("fail: by_label: 8 lost 0.1110")
        assert came_of(case(root, example.STATIC, "slices")) == "pass"

    def test_what_was_never_judged_says_why(self) -> None:
        root = parsed(example_gate.gated())
        told = case(root, "onnxruntime/float16", "candidate")[0]
        assert (told.tag, told.text) == ("skipped", f"given up early: {example_gate.GIVEN_UP}")
        failed = case(root, "onnxruntime/int8_static+entropy", "candidate")[0]
        assert (failed.text or "").startswith("failed: the quantized model")

    def test_a_refused_proof_is_red_though_the_gate_passed(self) -> None:
        record = example.deployed()
        assert record.proof is not None
        reason = "the service built from onnxruntime/int8_static was refused: 3 of 32 answers are wrong"
        rejection = Rejection(outcome=Outcome.FAIL, reason=reason)
        refused = replace(record, release=None, deployment=None, rejection=rejection, proof=replace(record.proof, wrong=3))
        assert case(parsed(refused), "fdpipe digits on cpu", "release")[0].text == reason

    def test_marks_and_the_proof_are_told(self) -> None:
        root = parsed(example_gate.marked())
        said = case(root, example_gate.DYNAMIC, "batch_invariance").findtext("system-out") or ""
        assert said.endswith("marked unbatchable")
        assert case(root, example_gate.DYNAMIC, "prove").findtext("system-out") == "32 requests, 0 wrong answers"


def test_what_no_xml_may_hold_is_replaced() -> None:
    record = example.deployed()
    evil = CheckResult(check="qua<lity", candidate=example.STATIC, outcome=Outcome.PASS, reason='<a b="c">\x00\x1b[31m & ]]>')
    verdict = replace(record.verdict, results=(*record.verdict.results, evil))
    found = case(parsed(replace(record, verdict=verdict)), example.STATIC, "qua<lity")
    assert found.findtext("system-out") == '<a b="c">\ufffd\ufffd[31m & ]]>'


def test_it_lies_in_the_runs_folder(tmp_path: Path) -> None:
    write_report(example.deployed(), example.plan(), [], tmp_path, LocalStore(tmp_path / "store"))
    assert (tmp_path / "verdict.junit.xml").read_bytes() == to_xml(example.deployed())
