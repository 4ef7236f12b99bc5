"""Checks that an answer is a row's own: whatever else is asked, before, beside or at the same time."""

import random
from concurrent.futures import ThreadPoolExecutor

from fdpipe.arrays import take
from fdpipe.conformance.check import Check
from fdpipe.conformance.compare import unlike
from fdpipe.conformance.pipelining import pipelined
from fdpipe.conformance.rest import answers
from fdpipe.conformance.result import Kind, NotShown, Violation
from fdpipe.conformance.rows import Rows
from fdpipe.conformance.subject import Subject

CALLERS = 8
TIMES = 4


def in_a_batch(subject: Subject) -> str:
    """One request of all rows."""
    inputs, alone = subject.several(), subject.answers_by_row()
    _require_independent(subject)
    if fault := unlike(subject.ask(inputs), alone):
        raise Violation(f"together {fault}, as the rows alone")
    return f"{len(subject.alone)} rows in one request"


def in_order(subject: Subject) -> str:
    """The rows turned round."""
    inputs = subject.several()
    _require_independent(subject)
    _require_different(subject)
    found = subject.ask(take(inputs, slice(None, None, -1)))
    if fault := unlike(take(found, slice(None, None, -1)), subject.answers_by_row()):
        raise Violation(f"with the rows turned round, {fault}")
    return f"{len(subject.alone)} rows, turned round"


def at_once(subject: Subject) -> str:
    """Many callers, so that a service which puts requests together does."""
    singles, alone = subject.singles(), subject.alone
    turns = [number for _ in range(TIMES) for number in range(len(singles))]
    random.Random(0).shuffle(turns)
    with ThreadPoolExecutor(CALLERS) as pool:
        found = pool.map(lambda number: subject.ask(singles[number]), turns)
        for number, one in zip(turns, found, strict=True):
            if fault := unlike(one, alone[number]):
                raise Violation(f"row {number}, asked while others were: {fault}")
    return f"{len(turns)} requests from {CALLERS} callers at once"


def again(subject: Subject) -> str:
    """The same request three times, the last one past any cache."""
    for number, row in enumerate(subject.singles()):
        asks = {"a second time": subject.ask(row)}
        if not isinstance(subject.rest, str):
            asks["with Cache-Control: no-cache"] = subject.rest.ask(row, headers={"cache-control": "no-cache"})
        for how, found in asks.items():
            if fault := unlike(found, subject.alone[number]):
                raise Violation(f"row {number}, asked {how}: {fault}")
    return f"{len(subject.alone)} rows"


def in_turn(subject: Subject) -> str:
    """Several requests on one connection before the first is answered."""
    rest, singles = subject.over_rest(), subject.singles()
    _require_different(subject)
    posts = [rest.post(row) for row in singles]
    try:
        replies = pipelined(subject.place, posts)
    except (OSError, ValueError) as error:
        raise Violation(
            f"{len(posts)} requests on one connection are not all answered: {error or type(error).__name__}"
        ) from error
    for number, (status, headers, body) in enumerate(replies):
        if fault := unlike(answers(status, headers, body, rest.model), subject.alone[number]):
            raise Violation(f"answer {number} is not request {number}'s: {fault}")
    return f"{len(posts)} requests on one connection"


def _require_independent(subject: Subject) -> None:
    if isinstance(subject.rows, Rows) and subject.rows.together:
        raise NotShown(
            "of this release it is known that an answer depends on the rows beside it, so that none are put together"
        )


def _require_different(subject: Subject) -> None:
    first, *others = subject.alone
    if all(not unlike(one, first) for one in others):
        raise NotShown("all rows have the same answer, so that their order cannot be seen")


CHECKS = tuple(
    Check(name=name, kind=Kind.INVARIANT, shows=shows, look=look)
    for name, shows, look in (
        ("alone-in-batch", "A row alone is answered as in a request with others.", in_a_batch),
        ("rows-in-order", "The answers stand in the order of the rows.", in_order),
        ("alone-at-once", "A row alone is answered as while others are asked, which may be computed together.", at_once),
        ("alone-again", "A request that comes again is answered the same, from a cache or not.", again),
        ("pipelined-in-order", "Requests that follow each other on one connection are answered in their order.", in_turn),
    )
)
