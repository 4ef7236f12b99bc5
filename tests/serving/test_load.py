"""A real Bento under load, over the protocol that it really speaks."""

from fdpipe.arrays import load_arrays
from fdpipe.conformance.golden import infer_path
from fdpipe.load import promise, trying
from fdpipe.load.modes import Closed, Open
from fdpipe.load.objective import Objective
from fdpipe.load.requests import Form, from_golden
from fdpipe.load.sending import Address, Job, send
from tests.serving.conftest import Served


def test_rows_of_the_release_as_json_and_as_bytes_in_closed_and_open_loops(digits: Served) -> None:
    path = infer_path(digits.release.model.name)
    rows = len(load_arrays(digits.release.golden)["input.x"])
    text, binary = (from_golden(digits.release.golden, path, form) for form in (Form.JSON, Form.BINARY))
    pairs = from_golden(digits.release.golden, path, rows=2)
    assert (len(text), len(binary), len(pairs)) == (rows, rows, rows // 2)
    before = _answered(digits)
    jobs = [
        Job(load=Closed(concurrency=4, seconds=0.3), requests=text),
        Job(load=Open(rate=100, seconds=0.5), requests=binary),
        Job(load=Closed(seconds=0.1), requests=pairs),
    ]
    found = send(Address(host=digits.oip), jobs)
    assert [one.statuses.keys() for one in found] == [{"200"}] * 3
    assert found[1].sent == 50
    asked = sum(one.sent for one in found)
    assert _answered(digits) - before >= asked


def test_a_slow_promise_is_kept_and_a_fast_one_is_told(digits: Served) -> None:
    asked = (digits.release.golden, digits.oip, digits.release.model.name)
    kept = promise.ask(*asked, promise.Wanted(promised_ms=1000.0))
    assert [one.succeeded == one.sent > 0 for one in kept.loads] == [True, True]
    assert kept.bare_ms is not None
    assert (kept.note, kept.refused) == ("", "")


def test_the_search_on_a_real_service(digits: Served) -> None:
    """A budget for the first two tries, of which the first is what a closed loop gets, and a limit that nothing can miss."""
    requests = from_golden(digits.release.golden, infer_path(digits.release.model.name))
    service = trying.Service(address=Address(host=digits.oip), requests=requests)
    found = trying.highest_rate_of(service, Objective(p99_ms=5000.0, budget_s=4.0, try_s=0.5, requests=100))
    assert [one.holds(5000.0) for one in found.tries] == [True] * len(found.tries)
    assert found.rate == max(one.rate for one in found.tries)
    assert found.ended == "the budget of 4 s was spent"


def _answered(served: Served) -> float:
    """How many requests the service says that it answered well."""
    return sum(
        figure for name, figure in served.metrics().items() if name.startswith("fdpipe_requests_total") and '"2xx"' in name
    )
