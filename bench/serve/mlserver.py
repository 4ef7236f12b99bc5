"""MLServer's own environment: it needs an older FastAPI than is here, so that the two never share one."""

import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from fdpipe.home import home

MLSERVER = "mlserver==1.7.*"


def mlserver_python() -> Path:
    """Its interpreter; built where it is not there yet, with the ONNX Runtime that is here. `RuntimeError` where uv fails."""
    place = home() / "bench" / "serve" / "mlserver"
    python, ready = place / "bin" / "python", place / "ready"
    if not ready.exists():
        uv = str(Path(sys.executable).with_name("uv"))
        place.parent.mkdir(parents=True, exist_ok=True)
        _ran(uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(place))
        packages = (MLSERVER, f"onnxruntime=={version('onnxruntime')}")
        _ran(uv, "pip", "install", "--quiet", "--python", str(python), *packages)
        ready.touch()
    return python


def mlserver_version() -> str:
    """As it is installed there; empty where it is not."""
    found = list((home() / "bench" / "serve" / "mlserver" / "lib").glob("python3*/site-packages/mlserver-*.dist-info"))
    return found[0].name.removeprefix("mlserver-").removesuffix(".dist-info") if found else ""


def _ran(*words: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{Path(words[0]).name} {words[1]} exited with {done.returncode}: {said[-1]}")
