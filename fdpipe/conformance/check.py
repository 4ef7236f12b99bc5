"""One check of the kit: its name, what it shows, and how it looks."""

from collections.abc import Callable
from dataclasses import dataclass

import grpc
import httpx

from fdpipe.conformance.result import Kind, NotShown, Outcome, Result, Violation
from fdpipe.conformance.subject import Subject

_LONGEST = 300


@dataclass(frozen=True, kw_only=True)
class Check:
    """`shows` is one sentence. `look` says what it saw, or raises `Violation` or `NotShown`. One that is not `quick` takes
    seconds."""

    name: str
    kind: Kind
    shows: str
    look: Callable[[Subject], str]
    quick: bool = True

    def result(self, subject: Subject) -> Result:
        """What came of it; a connection that breaks is a violation, too."""
        outcome = Outcome.PASSED
        try:
            told = self.look(subject)
        except NotShown as reason:
            outcome, told = Outcome.SKIPPED, str(reason)
        except Violation as example:
            outcome, told = Outcome.VIOLATED, str(example)
        except httpx.HTTPError as error:
            outcome, told = Outcome.VIOLATED, f"there was no answer: {type(error).__name__} {error}"
        except grpc.RpcError as error:
            outcome, told = Outcome.VIOLATED, f"there was no answer: {error.code().name} {error.details()}"
        return Result(check=self.name, kind=self.kind, outcome=outcome, told=_line(told))


def _line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…"
