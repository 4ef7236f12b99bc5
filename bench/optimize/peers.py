"""What others make of the same models, and how it is opened: by each library's own call, without fdpipe's runtimes."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from fdpipe.arrays import Batch
from fdpipe.artifacts import Artifact
from fdpipe.interfaces import Engine, Session

OLIVE = "olive-ai==0.13.*"
NO_TORCH = 'torch ; python_version < "3"\n'
"""What uv is told of torch: Olive's is the one that is here, since the index would bring gigabytes of CUDA."""

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Peer:
    """All of a runtime for the benchmark's contenders but `open`, which is by each library itself."""

    packages: ClassVar[tuple[str, ...]] = ()
    kinds: ClassVar[tuple[str, ...]] = ("onnx", "openvino")

    def check(self) -> None:
        """It is there."""

    def absent(self) -> str | None:
        """None: it runs here."""
        return None

    def sessions(self) -> tuple[Session, ...]:
        """One."""
        return ({},)

    def ready(self, model: Artifact, folder: Path) -> Artifact:
        """As it is."""
        return model


@dataclass(frozen=True, kw_only=True)
class PlainOnnxRuntime(Peer):
    """ONNX Runtime's session on one thread, with its defaults otherwise."""

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """A session."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        return _OrtEngine(onnxruntime.InferenceSession(artifact.path, options, providers=["CPUExecutionProvider"]))


@dataclass(frozen=True)
class _OrtEngine:
    session: Any

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        names = [output.name for output in self.session.get_outputs()]
        return dict(zip(names, self.session.run(None, dict(batch)), strict=True))

    def close(self) -> None:
        """Python drops it."""


@dataclass(frozen=True, kw_only=True)
class PlainOpenVino(Peer):
    """OpenVINO's compiled model on one thread, with these `properties`."""

    properties: Mapping[str, Any] = field(default_factory=dict)

    def open(self, artifact: Artifact, session: Session) -> Engine:
        """A compiled model and one request."""
        from fdpipe.openvino import library

        properties = {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY", **self.properties}
        compiled = library().Core().compile_model(str(artifact.path), "CPU", properties)
        return _OpenVinoEngine(compiled.create_infer_request(), tuple(spec.name for spec in artifact.outputs))


@dataclass(frozen=True)
class _OpenVinoEngine:
    request: Any
    outputs: tuple[str, ...]

    def run(self, batch: Batch) -> dict[str, np.ndarray]:
        found = self.request.infer(dict(batch), share_inputs=True)
        return {name: found[number] for number, name in enumerate(self.outputs)}

    def close(self) -> None:
        """Python drops it."""


FULL: Mapping[str, Any] = {"INFERENCE_PRECISION_HINT": "f32"}
HALF: Mapping[str, Any] = {"INFERENCE_PRECISION_HINT": "bf16"}
GROUPED: Mapping[str, Any] = {**HALF, "DYNAMIC_QUANTIZATION_GROUP_SIZE": 128}
"""In OpenVINO's words: floats in full; in bfloat16; and activations quantized on the way, 128 values with one scale."""


def olive_python(folder: Path) -> Path:
    """The interpreter of Olive's own environment, built where it is not there yet: its packages first, and torch from here."""
    place = folder / "venv"
    python = place / "bin" / "python"
    ready = place / "ready"
    if not ready.exists():
        uv = Path(sys.executable).with_name("uv")
        folder.mkdir(parents=True, exist_ok=True)
        override = folder / "override.txt"
        override.write_text(NO_TORCH)
        _ran(str(uv), "venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        wanted = [OLIVE, f"onnxruntime=={_version('onnxruntime')}"]
        _ran(str(uv), "pip", "install", "--quiet", "--python", str(python), "--override", str(override), *wanted)
        own, shared = next((place / "lib").glob("python3*/site-packages")), Path(np.__file__).parent.parent
        (own / "zz_shared.pth").write_text(f"{shared}\n")
        ready.touch()
    return python


def _ran(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)} exited with {done.returncode}:\n{done.stderr}")


def _version(package: str) -> str:
    from importlib.metadata import version

    return version(package)
