"""Checks that what is wrong is refused: with a 4xx and one line in JSON, without a stack trace, and nothing else disturbed."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from fdpipe.conformance import hostile, rows
from fdpipe.conformance.check import Check
from fdpipe.conformance.compare import unlike
from fdpipe.conformance.rest import Form
from fdpipe.conformance.result import Kind, Violation
from fdpipe.conformance.subject import Subject

TRACE = re.compile(r'Traceback \(most recent call last\)|File "[^"]+", line \d+|\.py:\d+|^\s+at [\w.$]+\(', re.MULTILINE)
"""How a stack trace looks, in Python and in Java."""

_LONGEST = 2000

Statuses = range | tuple[int, ...]
_ANY = range(400, 500)


def well_formed(response: httpx.Response, statuses: Statuses = _ANY, key: str = "error") -> str:
    """The error's text, which stands in the JSON at this key; `Violation` where the refusal is not as it should be."""
    status, text = response.status_code, response.text
    if trace := TRACE.search(text):
        raise Violation(f"status {status} with a stack trace: {trace[0].strip()!r}")
    if status not in statuses:
        wanted = f"{statuses[0]}" if len(statuses) == 1 else "4xx"
        raise Violation(f"status {status}, not {wanted}: {text[:150]!r}")
    told = _told(response, key)
    if not isinstance(told, str) or not told.strip():
        raise Violation(f'status {status} without {{"{key}": "…"}}: {text[:150]!r}')
    if len(told.strip().splitlines()) > 1 or len(told) > _LONGEST:
        raise Violation(f"status {status} with an error that is no single line: {told[:150]!r}")
    return f"{status} {told}"


def _told(response: httpx.Response, key: str) -> object:
    try:
        value = response.json()
    except ValueError:
        return None
    return value.get(key) if isinstance(value, dict) else None


@dataclass(frozen=True, kw_only=True)
class Refused:
    """Looks whether a request is refused as it should be."""

    case: hostile.Case
    statuses: Statuses = _ANY

    def __call__(self, subject: Subject) -> str:
        """The refusal's text."""
        rest = subject.over_rest()
        subject.inputs()
        return well_formed(rest.send(self.case.make(subject, rest)), self.statuses)


def extremes(subject: Subject) -> str:
    """Rows at the ends of their dtypes: answered or refused, and no defect of the service."""
    rest = subject.over_rest()
    told = []
    for what, row in rows.extremes(subject.singles()[0]).items():
        response = rest.send(rest.post(row, Form.JSON))
        if response.status_code == 200:
            rest.answers(response)
            told.append(f"{what}: answered")
        else:
            told.append(f"{what}: {well_formed(response)}")
    return "; ".join(told)


def still_answers(subject: Subject) -> str:
    """After all that was refused."""
    subject.over_rest()
    for number, row in enumerate(subject.singles()):
        if fault := unlike(subject.ask(row), subject.alone[number]):
            raise Violation(f"row {number}, after what was refused: {fault}")
    return "as before"


_LOOKS: tuple[tuple[str, str, Callable[[Subject], str]], ...] = (
    (hostile.UNKNOWN_MODEL.name, hostile.UNKNOWN_MODEL.shows, Refused(case=hostile.UNKNOWN_MODEL, statuses=(404,))),
    *((case.name, case.shows, Refused(case=case)) for case in hostile.CASES),
    ("extremes", "The largest and smallest numbers and long strings are answered, or refused in one line.", extremes),
    ("still-answers", "After all that was refused, rows are answered as before.", still_answers),
)

CHECKS = tuple(Check(name=name, kind=Kind.REFUSAL, shows=shows, look=look) for name, shows, look in _LOOKS)
