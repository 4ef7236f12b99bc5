"""What a run came to, for people."""

import io
from pathlib import Path

import pytest

from fdpipe.artifacts import Outcome
from fdpipe.cli.result import show
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.execution import execute
from fdpipe.testing import FakeCheck
from fdpipe.testing.rehearsal import Rehearsal, fake_plan


@pytest.mark.parametrize(
    ("outcome", "word"),
    [(Outcome.FAIL, "rejected"), (Outcome.INCONCLUSIVE, "inconclusive"), (Outcome.ANOMALOUS, "anomalous")],
)
def test_a_refusal_is_called_what_it_is(home: Path, outcome: Outcome, word: str) -> None:
    out = io.StringIO()
    refused = execute(fake_plan(gate={"floor": FakeCheck(floor=1.1, outcome=outcome)}), call=Rehearsal())
    show(Session(streams=Streams(out, out)), refused)
    told = [line.split()[0] for line in out.getvalue().splitlines() if "floor: fake/none has" in line]
    assert told == [word]
