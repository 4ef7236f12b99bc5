"""A release made by hand: the tiny service as its Bento, with golden requests."""

import json
import random
import shutil
import socket
from pathlib import Path

import numpy as np

from fdpipe.arrays import save_arrays
from fdpipe.artifacts import PORTS, Artifact, Candidate, ModelRef, Proof, Release, Task, WorkerSpec
from fdpipe.content import tree_digest
from fdpipe.workers import TARGET

X = np.array([[1, 2], [-3, 1], [0.5, 0.25], [np.nan, 4]], dtype=np.float32)
WORDS = np.array(["a", "b", "", "d"])


def tiny_release(store: Path, *, factor: float = 2.0, flaw: str = "", golden_factor: float | None = None) -> Release:
    """`factor` makes its content; `flaw` is `import` or `worker` for where it fails to start, `slow` for a start and `late`
    for answers that take long, `undescribed` for a protocol without its metadata; a `golden_factor` that is not the factor
    makes its answers wrong."""
    folder = store / f"release-{factor}-{flaw}"
    bento = folder / "bento"
    bento.mkdir(parents=True, exist_ok=True)
    shutil.copy(Path(__file__).parent / "service.py", bento)
    (bento / "bentofile.yaml").write_text("service: 'service:Tiny'\n")
    (bento / "tiny.json").write_text(json.dumps({"factor": factor, "flaw": flaw}))
    (folder / "release.json").write_text("{}")
    known = factor if golden_factor is None else golden_factor
    _save_golden(folder / "golden.npz", known)
    return Release(
        service="tiny-cpu",
        model=ModelRef(name="tiny", version="1", uri="models:/tiny/1", digest="0" * 64),
        target="cpu",
        candidate=Candidate(runtime="onnxruntime", recipe="none"),
        digest=tree_digest(bento),
        path=bento,
        manifest=folder / "release.json",
        golden=folder / "golden.npz",
        artifact=Artifact(kind="onnx", path=bento / "tiny.json", digest="1" * 64, size_bytes=1, inputs=(), outputs=()),
        processor=WorkerSpec(room="processor", settings={TARGET: "fdpipe.testing.processor.FakeProcessor"}),
        runtime=WorkerSpec(room="runtime", settings={TARGET: "fdpipe.testing.runtime.FakeRuntime"}),
        task=Task.CLASSIFICATION,
    )


def proof_of(release: Release, *, wrong: int = 0) -> Proof:
    """A proof as `prove` would give it."""
    return Proof(
        release=release.digest, requests=10, wrong=wrong, protocols=("bentoml",), largest_difference=0.0, reason="by hand"
    )


def free_triple() -> int:
    """A port that is free with the two after it, away from those that fdpipe takes by itself, and from those that the kernel
    gives to clients: any of these may be taken at any time, and for a minute after its connection has ended."""
    for _ in range(100):
        port = random.randrange(12000, 32000, PORTS)
        try:
            for one in range(port, port + PORTS):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", one))
        except OSError:
            continue
        return port
    raise RuntimeError("no three free ports in a row")


def _save_golden(path: Path, factor: float) -> None:
    sums = np.nansum(X, axis=1)
    labels = np.array([word + ("+" if total > 0 else "-") for word, total in zip(WORDS, sums, strict=True)])
    arrays = {"input.x": X, "input.word": WORDS, "answer.score": (factor * sums).astype(np.float32), "answer.label": labels}
    save_arrays(path, arrays)
