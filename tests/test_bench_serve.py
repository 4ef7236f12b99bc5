"""The service's bench: what it reads from the load's programs, what it holds against what is wanted, what it writes."""

import json
import struct
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from onnx import save_model

from bench.gate.kept import Kept
from bench.gate.page import Row
from bench.serve import asks, in_process, load, models, page, rows, run
from bench.serve.load import Shot
from bench.serve.rows import Overload, Ratio, Round
from bench.serve.servers import BINARY, IN_PROCESS, MLSERVER, STOCK
from fdpipe import open_inference

WRK = """Running 2s test @ http://127.0.0.1:4801/x
  1 threads and 8 connections
Requests/sec:   5782.57
counted 11698 2000000 0 0 0 0 98
latency 549 17220
"""
H2LOAD = """finished in 2.00s, 1.50 req/s, 252.88KB/s
requests: 5 total, 5 started, 4 done, 3 succeeded, 1 failed, 1 errored, 0 timeout
status codes: 3 2xx, 0 3xx, 0 4xx, 1 5xx
"""
LOG = "1795551062944960\t200\t3000\n1795551062944991\t200\t1000\n1795551064946018\t200\t2000\n1795551064946018\t500\t9\n"
SHOT = Shot(requests_per_s=1000.0, p50_ms=1.0, p99_ms=2.0, per_processor_s=1100.0)
OVERLOAD = Overload(
    capacity=100.0, goodput=90.0, statuses={"200": 9, "503": 90}, idle_mib=200.0, peak_mib=220.0, late_ms=3.0, waited=0
)  # fmt: skip


def round_of(missing: dict[str, str] | None = None, **rates: float) -> Round:
    names = {"ours": BINARY, "stock": STOCK, "limit": IN_PROCESS}
    return Round(shots={names[key]: replace(SHOT, requests_per_s=rate) for key, rate in rates.items()}, missing=missing or {})


def test_what_wrk_says_is_read_and_what_it_counts_as_an_error_is_no_answer() -> None:
    assert load.of_wrk(WRK) == Shot(requests_per_s=5800.0, p50_ms=0.549, p99_ms=17.22, failed=98)
    with pytest.raises(RuntimeError, match="wrk said: unable to connect"):
        load.of_wrk("unable to connect to 127.0.0.1:4801 Connection refused\n")


def test_what_h2load_says_is_read_and_what_failed_is_in_no_latency() -> None:
    assert load.of_h2load(H2LOAD, LOG, 2) == Shot(requests_per_s=1.5, p50_ms=2.0, p99_ms=3.0, failed=1)
    with pytest.raises(RuntimeError, match="h2load said: Could not resolve"):
        load.of_h2load("Could not resolve host", "", 2)


def test_a_ratio_is_the_median_of_those_in_the_same_round() -> None:
    rounds = [round_of(ours=1500.0, stock=100.0), round_of(ours=800.0, stock=50.0), round_of(ours=140.0, stock=10.0)]
    (row,) = rows.ratios(rounds, [Ratio(one=BINARY, other=STOCK, least=15.0)])
    assert (row.found, row.holds) == ("15.00 (14.00 to 16.00); by processor time 1.00", True)
    (row,) = rows.ratios(rounds, [Ratio(one=BINARY, other=STOCK, least=15.1)])
    assert row.holds is False


def test_a_peer_that_was_not_measured_is_no_row_that_was_reached() -> None:
    rounds = [round_of({MLSERVER: "RuntimeError: no index"}, ours=1500.0, limit=3000.0)]
    (row,) = rows.ratios(rounds, [Ratio(one=BINARY, other=MLSERVER, least=6.0)])
    assert (row.found, row.holds) == ("not measured: MLServer, REST: RuntimeError: no index", False)
    told = {one.what: one.found for one in rows.figures(rounds)}
    assert told[MLSERVER] == "not measured: RuntimeError: no index"
    assert told[BINARY] == "1,500/s, p50 1 ms, p99 2 ms, 50% of in process, 1,100 a processor second"


def test_the_tail_is_held_against_the_median() -> None:
    rounds = [Round(shots={BINARY: replace(SHOT, p99_ms=p99)}, missing={}) for p99 in (2.0, 3.0, 9.0)]
    assert rows.tail(rounds, BINARY).holds is True
    assert rows.tail(rounds[1:], BINARY).holds is False
    assert rows.tail(rounds, STOCK).holds is False


def test_overload_is_held_against_the_capacity_and_the_memory_before() -> None:
    good = rows.overload([OVERLOAD])
    assert [row.holds for row in good] == [True, True, None]
    assert [row.found for row in good[:2]] == ["90% (90% to 90%) of 100/s", "1.10 × 200 MiB"]
    assert good[2].found == "200: 9, 503: 90; the sender was 3 ms late at most (p99), 0 waited for a connection"
    bad = rows.overload([replace(OVERLOAD, goodput=79.0, peak_mib=261.0)])
    assert [row.holds for row in bad] == [False, False, None]
    assert [(row.found, row.holds) for row in rows.overload([])] == [("not measured", False)] * 2


def test_rounds_are_kept_as_they_were(tmp_path: Path) -> None:
    kept, one = Kept("tiny", [], {}, tmp_path), round_of({MLSERVER: "gone"}, ours=1.5, limit=2.0)
    kept.add(0, one)
    assert Round.of(**kept.read()[0]) == one
    kept.add(1, OVERLOAD)
    assert Overload(**kept.read()[1]) == OVERLOAD == Overload(**asdict(OVERLOAD))


def test_the_page_tells_first_what_was_missed() -> None:
    parts = {
        "Tiny": [Row(what="a ÷ b", wanted="≥ 6", found="7", holds=True), Row(what="c", wanted="≥ 2", found="1", holds=False)]
    }
    written = page.page(parts, {"Tiny": "In so many words."})
    assert written.startswith("# The service, measured\n")
    for line in ("1 of 2 rows were reached.", "- Missed: c: 1, wanted ≥ 2.", "In so many words.", "| a ÷ b | ≥ 6 | 7 | ✓ |"):
        assert f"\n{line}\n" in written


def test_a_row_is_the_same_in_every_servers_words() -> None:
    row = models.TINY.row()
    assert np.array_equal(json.loads(asks.named("u", row).body)["x"], row)
    assert np.array_equal(json.loads(asks.oip("u", row).body)["inputs"][0]["data"], row.ravel())
    binary = asks.oip_binary("u", row)
    head = int(binary.headers["Inference-Header-Content-Length"])
    assert json.loads(binary.body[:head])["inputs"][0]["parameters"]["binary_data_size"] == row.nbytes
    assert binary.body[head:] == row.tobytes()
    ask = asks.oip_grpc("http://127.0.0.1:1", "tiny", row)
    message = open_inference.message("ModelInferRequest").FromString(ask.body)
    assert (list(message.inputs[0].shape), message.raw_input_contents[0]) == ([1, 64], row.tobytes())
    assert struct.unpack(">?I", load.framed(ask.body)[:5]) == (False, len(ask.body))
    assert load.framed(ask.body)[5:] == ask.body


@pytest.mark.parametrize("subject", [models.TINY, models.IMAGE, models.HEAVY], ids=lambda one: one.name)
def test_the_models_take_rows_and_are_called_in_a_loop(subject: models.Subject, tmp_path: Path) -> None:
    model = subject.onnx()
    model.ir_version = 10
    save_model(model, tmp_path / "model.onnx")
    probabilities = in_process.answers(tmp_path / "model.onnx", subject.row())
    assert probabilities.shape == (models.CLASSES,)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)
    shot = in_process.called(tmp_path / "model.onnx", 0.01, rows=2)
    assert 0 < shot.p50_ms <= shot.p99_ms


def test_the_image_is_as_large_as_it_is_said_to_be() -> None:
    assert models.IMAGE.row().nbytes == 602_112


def test_a_word_that_means_nothing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["tny"]) == 2
    assert "knows no tny: it has tiny, image, overload, --trials=NUMBER, --fresh" in capsys.readouterr().err
    assert run.main(["tiny", "--trials=few"]) == 2
    assert run.main(["tiny", "--trials=0"]) == 2
