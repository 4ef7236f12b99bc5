"""Proofs, with a real service started for each."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fdpipe import bento
from fdpipe.artifacts import Candidate
from fdpipe.content import tree_digest
from fdpipe.load.promise import Wanted
from fdpipe.plan import ServiceSettings
from fdpipe.stages import prove as stage
from fdpipe.stages.benchmark import nothing_measured
from fdpipe.stages.prove import prove
from fdpipe.store import LocalStore
from tests.serving.tiny import prices
from tests.tiny.release import tiny_release


@pytest.fixture
def store(home: Path) -> LocalStore:
    return LocalStore(home / "store")


def test_a_right_service_is_proved_once_and_left_as_it_was(store: LocalStore, tmp_path: Path) -> None:
    release = tiny_release(tmp_path)
    proof = prove(store, release)
    assert proof.holds
    assert proof.covers(release)
    assert proof.protocols == ("bentoml", "oip-rest", "oip-grpc")
    assert (proof.requests, proof.wrong) == (15, 0)
    assert proof.largest_difference < 1e-5
    assert tree_digest(release.path) == release.digest
    bento.require_free(stage.HOST, stage.FIRST_SPARE_PORT)
    assert prove(store, release) == proof
    assert prove.is_stored(store, release)


def test_a_wrong_answer_is_a_refusal(store: LocalStore, tmp_path: Path) -> None:
    proof = prove(store, tiny_release(tmp_path, golden_factor=2.001))
    assert not proof.holds
    assert proof.wrong == 15, proof.reason
    assert "score is" in proof.reason


def test_a_limit_that_is_missed_is_a_refusal(store: LocalStore, tmp_path: Path) -> None:
    release = tiny_release(tmp_path)
    proof = prove(store, release, Wanted(p99_ms=0.001))
    assert (proof.wrong, proof.holds) == (0, False)
    assert proof.reason.startswith("15 of 15 golden requests were answered rightly; one caller's p99 is ")
    assert proof.reason.endswith("ms, service.p99_ms allows 0.001 ms")


def test_what_does_not_keep_to_its_protocols_is_a_refusal(store: LocalStore, tmp_path: Path) -> None:
    proof = prove(store, tiny_release(tmp_path, flaw="undescribed"))
    assert (proof.wrong, proof.holds) == (0, False)
    assert "checks of `fdpipe conformance`, first of all health: GET /v2/models/tiny/ready gives 404" in proof.refused
    assert proof.reason.endswith(proof.refused)


def test_what_is_wanted_is_what_the_benchmark_promised_and_the_settings_limit() -> None:
    service = ServiceSettings(p99_ms=20.0, requests_per_s=100.0)
    candidate = Candidate(runtime="onnxruntime", recipe="none")
    found = stage.wanted(service, nothing_measured(candidate), candidate, batchable=True)
    assert found == Wanted(promised_ms=None, p99_ms=20.0, requests_per_s=100.0)
    with pytest.raises(ValueError, match="p99_ms must be above 0, or null"):
        ServiceSettings(p99_ms=0.0)


def test_two_proofs_at_once_leave_each_other_alone(home: Path, tmp_path: Path) -> None:
    """They want the same port; who gets it takes longer than who does not waits for his own processes to end."""
    release = tiny_release(tmp_path, flaw="late")
    stores = [LocalStore(home / name) for name in ("one", "two")]
    with ThreadPoolExecutor() as pool:
        proofs = list(pool.map(lambda store: prove(store, release), stores))
    assert [proof.reason for proof in proofs] == ["15 of 15 golden requests were answered rightly"] * 2


def test_a_service_that_does_not_start_is_a_refusal(store: LocalStore, tmp_path: Path) -> None:
    release = tiny_release(tmp_path, flaw="import")
    proof = prove(store, release)
    assert not proof.holds
    assert not proof.covers(release)
    assert "the tiny service cannot be imported" in proof.reason


def test_a_packaged_release_is_proved_and_stays_whole_in_the_store(store: LocalStore, tmp_path: Path) -> None:
    release = prices(tmp_path).packaged(store)
    wanted = Wanted(promised_ms=1000.0, p99_ms=0.001)
    proof = prove(store, release)
    assert proof.covers(release), proof.reason
    assert proof.largest_difference < 1e-5
    assert [one.statuses.keys() for one in proof.loads] == [{"200"}, {"200"}]
    assert proof.bare_ms is not None
    assert not prove.is_stored(store, release, wanted), "what is asked of it is part of what was proved"
    assert release.provenance is not None
    assert store.find("package", release.provenance.key) is not None
