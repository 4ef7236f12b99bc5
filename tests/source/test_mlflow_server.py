"""The same registry behind a server: everything goes through its HTTP."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import mlflow
import pytest

from fdpipe.content import tree_digest
from fdpipe.dataset.mlflow import MlflowArtifact
from fdpipe.errors import SourceError
from fdpipe.source.mlflow import Mlflow
from fdpipe.training import train

TRAINING = """
import mlflow
import numpy as np
from mlflow.models import infer_signature
from sklearn.linear_model import LogisticRegression

from fdpipe.training import log_rows


def train():
    x = np.arange(20.0).reshape(10, 2)
    log_rows("evaluation", {"input": x}, np.arange(10) > 4)
    model = LogisticRegression().fit(x, np.arange(10) > 4)
    return mlflow.sklearn.log_model(model, name="model", signature=infer_signature(x), pip_requirements=["scikit-learn"])
"""


@pytest.fixture
def server(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    places = ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db", "--artifacts-destination", str(tmp_path / "artifacts")]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([*command, *places], stdout=log, stderr=log, cwd=tmp_path, start_new_session=True)
    uri = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    try:
        until = time.monotonic() + 120
        while not _answers(uri):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            assert time.monotonic() < until
            time.sleep(0.2)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        mlflow.set_tracking_uri(None)


def _answers(uri: str) -> bool:
    try:
        return httpx.get(f"{uri}/health").status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.slow
def test_a_model_trained_found_brought_and_marked(server: str, tmp_path: Path) -> None:
    folder = tmp_path / "project" / "registry" / "tiny"
    folder.mkdir(parents=True)
    (folder / "train.py").write_text(TRAINING)
    train("tiny", tmp_path / "project")

    source = Mlflow()
    ref = source.resolve("tiny@candidate")
    model = source.download(ref, tmp_path / "model")
    assert tree_digest(model.path) == ref.digest == source.resolve("tiny/1").digest
    assert len(MlflowArtifact(artifact="evaluation.npz").read(ref)) == 10
    assert MlflowArtifact(artifact="evaluation.npz").identity(ref).startswith(str(ref.run_id))

    source.publish(ref, {"fdpipe.cpu.verdict": "pass", "fdpipe.cpu.url": ""}, "deployed-cpu")
    assert source.resolve("tiny@deployed-cpu") == ref
    for reference in ("nosuch@x", "tiny@nosuch", "tiny/7"):
        with pytest.raises(SourceError, match="there are: tiny"):
            source.resolve(reference)
    assert list((tmp_path / "artifacts").rglob("MLmodel"))
