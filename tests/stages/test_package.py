"""A release as a Bento."""

import json
import os
import signal
import subprocess
import sys
import venv
from dataclasses import replace
from pathlib import Path

import httpx
import numpy as np
import pytest

from fdpipe import workers
from fdpipe.arrays import load_arrays, save_arrays
from fdpipe.artifacts import (
    GOLDEN_ANSWER,
    GOLDEN_INPUT,
    GOLDEN_TOGETHER,
    CheckResult,
    Cost,
    Manifest,
    Mark,
    Outcome,
    Ranges,
    Release,
    Rows,
    Timing,
    Traffic,
)
from fdpipe.content import from_json, tree_digest
from fdpipe.errors import StageError
from fdpipe.stages.package import package
from fdpipe.store import LocalStore
from tests.serving import plugin, tiny
from tests.serving.conftest import FORBIDDEN, start, wait_ready
from tests.tiny.release import free_triple


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> tiny.Pieces:
    return tiny.digits(tmp_path_factory.mktemp("digits"))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> LocalStore:
    return LocalStore(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def release(pieces: tiny.Pieces, store: LocalStore) -> Release:
    return pieces.packaged(store)


def manifest_of(release: Release) -> Manifest:
    return from_json(release.manifest.read_bytes(), Manifest, release.manifest.parent)


def test_the_manifest_says_all(release: Release, pieces: tiny.Pieces) -> None:
    manifest = manifest_of(release)
    assert manifest.digest == release.digest
    assert (manifest.service, manifest.target, manifest.model.version) == ("digits-cpu", "cpu", "7")
    assert manifest.candidate == pieces.trial.candidate
    assert manifest.runtime == release.runtime
    assert set(manifest.monitors) == {"service", "host", "model"}
    assert [(spec.name, spec.dtype, spec.shape) for spec in manifest.answers] == [
        ("label", "int64", ("rows",)),
        ("probabilities", "float32", ("rows", 3)),
    ]
    low, high = manifest.input_ranges["x"]
    calibration = pieces.data.evaluation.load().features["x"]
    assert (low, high) == (calibration.min(), calibration.max())


def test_the_model_is_inside_and_unchanged(release: Release, pieces: tiny.Pieces) -> None:
    assert release.artifact.path.is_relative_to(release.path)
    assert tree_digest(release.artifact.folder) == release.artifact.digest == pieces.baseline.artifact.digest


def test_service_py_is_short(release: Release) -> None:
    lines = (release.path / "src" / "service.py").read_text().splitlines()
    assert len(lines) <= 15
    assert "from fdpipe.serving import build_service" in lines


def test_only_what_the_service_reaches_is_carried(release: Release) -> None:
    source = release.path / "src"
    carried = {file.relative_to(source).with_suffix("").as_posix() for file in (source / "fdpipe").rglob("*.py")}
    assert {"fdpipe/serving/oip", "fdpipe/runtime/onnxruntime", "fdpipe/processor/none", "fdpipe/monitor/host"} <= carried
    assert not carried & {f"fdpipe/{name}" for name in ("cli", "config", "plan", "pipeline", "store", "home", "bento")}
    assert not any((source / "fdpipe" / room).exists() for room in ("stages", "source", "gate", "orchestrate", "cli"))
    assert "fdpipe/processor/tabular" not in carried


def test_golden_requests_have_the_candidates_answers(release: Release, pieces: tiny.Pieces) -> None:
    golden = load_arrays(release.golden)
    x = golden[GOLDEN_INPUT + "x"]
    assert x.shape == (8, 4)
    answers = tiny.asked_directly(pieces, {"x": x})
    for name, array in answers.items():
        np.testing.assert_array_equal(golden[GOLDEN_ANSWER + name], array)


def test_golden_requests_have_the_callers_dtypes(tmp_path: Path, store: LocalStore) -> None:
    pieces = tiny.digits(tmp_path)
    wide = replace(pieces.model, inputs=(replace(pieces.model.inputs[0], dtype="float64"),))
    golden = load_arrays(replace(pieces, model=wide).packaged(store).golden)
    assert golden[GOLDEN_INPUT + "x"].dtype == np.float64
    other = replace(pieces.model, inputs=(replace(pieces.model.inputs[0], name="y"),))
    with pytest.raises(StageError, match="do not fit the model's signature: 'y'"):
        replace(pieces, model=other).packaged(store)


def test_the_evidence_is_beside_it(release: Release) -> None:
    evidence = json.loads((release.manifest.parent / "evidence.json").read_text())
    assert set(evidence) == {"parity", "evaluation", "measurement", "machine", "verdict", "versions"}
    assert evidence["verdict"]["outcome"] == "pass"
    assert "/" not in evidence["evaluation"]["answers"]["path"]


def test_requirements_are_pinned_and_serve_time_only(release: Release) -> None:
    lines = (release.path / "env" / "python" / "requirements.txt").read_text().split()
    names = {line.partition("==")[0] for line in lines}
    assert {"bentoml", "numpy", "onnxruntime", "msgspec", "prometheus-client", "psutil", "starlette", "uvicorn"} <= names
    assert all("==" in line for line in lines)
    assert not names & {*FORBIDDEN, "scikit-learn", "hydra-core", "onnxruntime-gpu", "fdpipe"}


def test_the_digest_is_of_what_answers(tmp_path: Path, pieces: tiny.Pieces, release: Release) -> None:
    elsewhere = LocalStore(tmp_path / "store")
    otherwise = replace(pieces.verdict, reason="passed, in other words")
    assert replace(pieces, verdict=otherwise).packaged(elsewhere).digest == release.digest
    candidate = replace(pieces.trial.candidate, session={"threads": 2})
    digests = {
        release.digest,
        tiny.digits(tmp_path / "other", bias=0.5).packaged(elsewhere).digest,
        replace(pieces, trial=replace(pieces.trial, candidate=candidate)).packaged(elsewhere).digest,
    }
    assert len(digests) == 3


def test_a_mark_is_in_the_manifest_and_in_the_digest(pieces: tiny.Pieces, store: LocalStore, release: Release) -> None:
    """And what is known of such a release is the answer to each row in a request of its own, and to all in one."""
    name = pieces.trial.candidate.name
    result = CheckResult(check="c", candidate=name, outcome=Outcome.PASS, reason="", mark=Mark.UNBATCHABLE)
    others = replace(pieces.verdict, results=(replace(result, candidate="another"),))
    assert manifest_of(replace(pieces, verdict=others).packaged(store)).batchable
    marked = replace(pieces, verdict=replace(pieces.verdict, results=(result,))).packaged(store)
    assert manifest_of(release).batchable
    assert not manifest_of(marked).batchable
    assert marked.digest != release.digest
    golden = load_arrays(marked.golden)
    answers = tiny.asked_directly(pieces, {"x": golden[GOLDEN_INPUT + "x"]})
    for name, array in answers.items():
        np.testing.assert_array_equal(golden[GOLDEN_TOGETHER + name], array)
        np.testing.assert_allclose(golden[GOLDEN_ANSWER + name], array, rtol=1e-5)
    assert not any(name.startswith(GOLDEN_TOGETHER) for name in load_arrays(release.golden))


def test_ranges_of_calibration_go_along(tmp_path: Path, pieces: tiny.Pieces, store: LocalStore) -> None:
    ranges = Ranges(method="minmax", rows=8, data_digest="0", values={"x": (-1, 1)}, inputs={"x": (-1, 1)})
    calibrated = replace(pieces, trial=replace(pieces.trial, ranges=ranges))
    assert manifest_of(calibrated.packaged(store)).input_ranges == {"x": (-1.0, 1.0)}


def test_an_input_of_which_calibration_saw_nothing_has_no_range(tmp_path: Path, pieces: tiny.Pieces, store: LocalStore) -> None:
    path = tmp_path / "missing.npz"
    digest = save_arrays(path, {"x": np.full((8, 4), np.nan, np.float32)})
    rows = Rows(role="calibration", path=path, digest=digest, count=8, labelled=False)
    missing = replace(pieces, data=replace(pieces.data, calibration=rows))
    assert manifest_of(missing.packaged(store)).input_ranges == {}


def test_nothing_else_stays(release: Release, store: LocalStore, pieces: tiny.Pieces) -> None:
    entry = release.path.parent
    assert {item.name for item in entry.iterdir()} == {"bento", "value.json", "files.json"}
    arguments = (pieces.order, pieces.model, pieces.baseline, pieces.trial, pieces.data, pieces.measured, pieces.verdict)
    again = replace(pieces.verdict, reason="to be forgotten")
    refused = package(store, *arguments[:-1], again)
    package.forget(store, *arguments[:-1], again)
    assert not refused.path.exists()
    assert package.is_stored(store, *arguments)


def test_a_trial_that_failed_is_not_shipped(pieces: tiny.Pieces, store: LocalStore) -> None:
    failed = replace(pieces.trial, artifact=None, reason="no such operator")
    with pytest.raises(StageError, match="has no model to ship: no such operator"):
        replace(pieces, trial=failed).packaged(store)


def test_what_bentoml_cannot_build(pieces: tiny.Pieces, store: LocalStore) -> None:
    with pytest.raises(StageError, match="bentoml build failed"):
        replace(pieces, order=replace(pieces.order, service="no name/of a Bento")).packaged(store)


def test_a_plugins_worker_is_carried(tmp_path: Path, pieces: tiny.Pieces, store: LocalStore) -> None:
    with plugin.installed(tmp_path):
        calm = workers.build("monitor", {"_target_": "carried_plugin.monitor.calm.Calm"})
        release = replace(pieces, order=replace(pieces.order, monitors={"calm": calm})).packaged(store)
    source = release.path / "src"
    code = f"from fdpipe import workers; print(workers.build('monitor', {workers.describe(calm)}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=False)
    assert done.stdout == "Calm(level=1)\n", done.stderr
    assert not (source / "carried_plugin" / "never.py").exists()


@pytest.mark.slow
def test_it_serves_from_its_requirements_alone(release: Release, tmp_path: Path) -> None:
    """A virtual environment from the Bento's own list, which has nothing else."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    requirements = release.path / "env" / "python" / "requirements.txt"
    subprocess.run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", requirements], check=True)
    installed = subprocess.run([python, "-m", "pip", "freeze"], check=True, capture_output=True, text=True).stdout.split()
    assert sorted(line.lower().replace("_", "-") for line in installed) == sorted(requirements.read_text().split())
    for name in (*FORBIDDEN, "fdpipe.cli"):
        code = f"import {name}"
        done = subprocess.run([python, "-c", code], cwd=release.path / "src", capture_output=True, text=True, check=False)
        assert "ModuleNotFoundError" in done.stderr, name
    port = free_triple()
    process = start(release.path, tmp_path / "run", port, python=str(python))
    try:
        wait_ready(process, port, tmp_path / "run" / "log")
        golden = load_arrays(release.golden)
        reply = httpx.post(f"http://127.0.0.1:{port}/predict", json={"inputs": {"x": golden[GOLDEN_INPUT + "x"].tolist()}})
        assert reply.json()["label"] == golden[GOLDEN_ANSWER + "label"].tolist()
        assert "fdpipe_rows_total 8.0" in httpx.get(f"http://127.0.0.1:{port}/metrics").text
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_the_sizes_are_derived_from_the_benchmark_and_belong_to_the_digest(
    pieces: tiny.Pieces, store: LocalStore, release: Release
) -> None:
    assert manifest_of(release).traffic == Traffic(max_batch=1, cost=None), "nothing was measured"
    timings = tuple(
        Timing(batch=batch, calls=9, p50_ms=2 + batch / 2, p90_ms=9.0, p99_ms=9.0, rows_per_s=1.0, ratio=None)
        for batch in (1, 8, 32)
    )
    measurement = replace(pieces.measured.measurements[0], timings=timings)
    measured = replace(pieces.measured, measurements=(measurement,))
    sized = replace(pieces, measured=measured).packaged(store)
    traffic = manifest_of(sized).traffic
    assert (traffic.cost, traffic.max_batch) == (Cost(call_ms=2.0, row_ms=0.5), 32)
    assert sized.digest != release.digest
    wished = replace(pieces.order, sizes=replace(pieces.order.sizes, max_batch=3, cache_mib=1.5))
    traffic = manifest_of(replace(pieces, order=wished, measured=measured).packaged(store)).traffic
    assert (traffic.max_batch, traffic.cache_mib) == (3, 1.5)
