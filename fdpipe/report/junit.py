"""The verdict as JUnit XML, which CI systems show beside a project's own tests.

Written with the standard library: a library for it would save nothing but the counting of attributes. The form is what
Jenkins (junit-10.xsd of its xunit plug-in) and GitLab (docs.gitlab.com/ci/testing/unit_test_reports) read. GitLab shows the
text inside an element, Jenkins also its `message`: both are there.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from xml.etree import ElementTree

from fdpipe.artifacts import CheckResult, Outcome, Proof, Record, Trial
from fdpipe.report.tables import State, judged, measurement_of, state

FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML may hold, not even escaped (XML 1.0, section 2.2)."""


@dataclass(frozen=True, kw_only=True)
class Testcase:
    """One testcase: a check on a candidate. `came_of` is the element that tells what went wrong: `failure`, `error`, `skipped`,
    or empty for what passed."""

    name: str
    came_of: str = ""
    kind: str = ""
    text: str = ""
    said: str = ""


def to_xml(record: Record) -> bytes:
    """`verdict.junit.xml`: the run's own verdict, then a testsuite for each candidate, with a testcase for each check.

    What refuses the run is a `failure`; what could not be decided an `error`, which is as red, since it is no pass. Where the
    run came to a release, the refusal of another candidate is no fault of the build: `skipped`, with the reason.
    """
    title = f"fdpipe {record.model.name} on {record.target}"
    root = ElementTree.Element("testsuites", name=title)
    _suite(root, "verdict", title, [_verdict(record)], _facts(record))
    for trial in record.trials:
        _suite(root, trial.candidate.name, trial.candidate.name, _cases(record, trial), [("state", state(record, trial).value)])
    for name in ("tests", "failures", "errors"):
        root.set(name, str(sum(int(suite.get(name, "0")) for suite in root)))
    ElementTree.indent(root)
    return bytes(ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _suite(
    root: ElementTree.Element, name: str, owner: str, cases: Sequence[Testcase], properties: Sequence[tuple[str, str]]
) -> None:
    counts = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    found = {key: str(sum(case.came_of == element for case in cases)) for key, element in counts.items()}
    suite = ElementTree.SubElement(root, "testsuite", {"name": _clean(name), "tests": str(len(cases)), **found})
    held = ElementTree.SubElement(suite, "properties")
    for key, value in properties:
        ElementTree.SubElement(held, "property", name=key, value=_clean(value))
    for case in cases:
        made = ElementTree.SubElement(suite, "testcase", name=_clean(case.name), classname=_clean(owner))
        if case.came_of:
            told = ElementTree.SubElement(made, case.came_of, type=case.kind, message=_clean(case.text))
            told.text = _clean(case.text)
        if case.said:
            ElementTree.SubElement(made, "system-out").text = _clean(case.said)


def _verdict(record: Record) -> Testcase:
    """Whether the run came to a release."""
    if record.rejection is not None:
        return _refused("release", record.rejection.outcome, record.rejection.reason)
    return Testcase(name="release", said=record.verdict.reason)


def _facts(record: Record) -> list[tuple[str, str]]:
    """What the release is."""
    release = record.release
    shipped = [("release", release.digest), ("candidate", release.candidate.name)] if release else []
    return [("version", record.model.version), ("outcome", record.verdict.outcome.value), *shipped]


def _cases(record: Record, trial: Trial) -> list[Testcase]:
    """Every check; of a candidate that none was asked about, why not."""
    found = state(record, trial)
    results = judged(record, trial)
    if not results:
        why = trial.unmeasured or trial.beaten or trial.reason or "it came to no final benchmark"
        return [Testcase(name="candidate", came_of="skipped", kind=found.value, text=f"{found.value}: {why}")]
    is_finalist = measurement_of(record, trial) is not None and record.measured.of(trial.candidate.name) is not None
    matters = record.rejection is not None and (is_finalist or found is State.NOT_MEASURED)
    cases = [_case(result, matters=matters) for result in results]
    proof = record.proof if found in (State.DEPLOYED, State.PROVED) else None
    return [*cases, *([_proved(proof)] if proof else [])]


def _case(result: CheckResult, *, matters: bool) -> Testcase:
    said = "\n".join([*([f"marked {result.mark.value}"] if result.mark else []), *map(str, _findings(result))])
    if result.outcome is Outcome.PASS:
        return Testcase(name=result.check, said=f"{result.reason}\n{said}".strip())
    if matters:
        return _refused(result.check, result.outcome, result.reason, said)
    text = f"{result.outcome.value}: {result.reason}; another candidate was chosen or this was no finalist"
    return Testcase(name=result.check, came_of="skipped", kind=result.outcome.value, text=text, said=said)


def _refused(name: str, outcome: Outcome, reason: str, said: str = "") -> Testcase:
    came_of = "error" if outcome is Outcome.INCONCLUSIVE else "failure"
    return Testcase(name=name, came_of=came_of, kind=outcome.value, text=reason, said=said)


def _proved(proof: Proof) -> Testcase:
    if proof.requests and not proof.holds:
        return Testcase(name="prove", came_of="failure", kind=Outcome.FAIL.value, text=proof.reason)
    if not proof.requests:
        return Testcase(name="prove", came_of="skipped", kind="not run", text=proof.reason)
    return Testcase(name="prove", said=f"{proof.requests} requests, {proof.wrong} wrong answers")


def _findings(result: CheckResult) -> list[str]:
    """A line for each thing that the check looked at."""
    lines = []
    for one in result.findings:
        interval = f" ({one.low:.6g} to {one.high:.6g})" if one.low is not None and one.high is not None else ""
        figure = "no figure" if one.figure is None else f"{one.figure:.6g}{interval}{f' {one.unit}' if one.unit else ''}"
        limit = "" if one.limit is None else f", limit {one.limit:.6g}"
        tested = "" if one.p_value is None else f", McNemar's p {one.p_value:.2g}"
        needed = "" if one.needed is None else f", {one.needed} rows would decide"
        lines.append(f"{one.name}: {one.outcome.value}, {figure}{tested}{limit}{needed}")
    return lines


def _clean(text: str) -> str:
    return FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text)
