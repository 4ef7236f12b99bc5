"""The clients of docs/clients against a running Bento: Python, Java and C++, the latter two built from the public proto."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.serving import tiny
from tests.serving.conftest import Served

ROOT = Path(__file__).parents[2]
CLIENTS = ROOT / "docs" / "clients"
PROTO = ROOT / "fdpipe" / "serving" / "open_inference.proto"
UV = Path(sys.executable).with_name("uv")
ROWS = np.array([[1, 2, 3, 4], [-1, 0.5, 0, 0.1]], np.float32)
"""What every one of them asks."""


def told(command: list[str | Path], served: Served) -> list[list[str]]:
    """The words of each line that a client writes of this service; where HOST and PORT stand, its address."""
    address = {"HOST": "127.0.0.1", "PORT": str(served.port)}
    words = [address.get(str(word), str(word)) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return [line.split() for line in done.stdout.splitlines()]


def tells_the_probabilities(command: list[str | Path], served: Served) -> bool:
    """To the last digit of a float32."""
    expected = tiny.asked_directly(served.pieces, {"x": ROWS})["probabilities"]
    np.testing.assert_array_equal(np.array(told(command, served), np.float32), expected)
    return True


def built(folder: str, target: Path, *needed: str) -> Path:
    """Where the example's build.sh has put what it made."""
    if missing := [tool for tool in needed if shutil.which(tool) is None]:
        pytest.skip(f"{missing[0]} is not installed: docs/clients/{folder}/build.sh says which Debian packages to install")
    command = ["sh", str(CLIENTS / folder / "build.sh"), str(PROTO.parent), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return target


def environment(folder: Path, *requirements: str) -> Path:
    """The python of a new virtual environment with these."""
    subprocess.run([UV, "venv", "-q", "--python", sys.executable, folder], check=True)
    subprocess.run([UV, "pip", "install", "-q", "--python", folder / "bin" / "python", *requirements], check=True)
    return folder / "bin" / "python"


def test_numpy_alone(digits: Served) -> None:
    assert tells_the_probabilities([sys.executable, CLIENTS / "numpy_http.py", "HOST", "PORT"], digits)


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_tritons_client(digits: Served, protocol: str) -> None:
    pytest.importorskip(f"tritonclient.{protocol}", reason="Triton's own client")
    assert tells_the_probabilities([sys.executable, CLIENTS / "triton_client.py", "HOST", "PORT", protocol], digits)


def test_java(digits: Served, tmp_path: Path) -> None:
    made = built("java", tmp_path / "java", "javac", "protoc", "grpc_java_plugin")
    path = f"{made}:{(made / 'classpath').read_text()}"
    for client in ("RestClient", "GrpcClient"):
        assert tells_the_probabilities(["java", "-cp", path, client, "HOST", "PORT"], digits)


def test_c_plus_plus(digits: Served, tmp_path: Path) -> None:
    made = built("cpp", tmp_path / "cpp", "g++", "pkg-config", "protoc", "grpc_cpp_plugin")
    assert tells_the_probabilities([made / "client", "HOST", "PORT"], digits)


def test_clients_tell_errors_in_one_line(prices: Served) -> None:
    """They ask for a model that is not there."""
    command = [sys.executable, str(CLIENTS / "numpy_http.py"), "127.0.0.1", str(prices.port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("there is nothing at POST /v2/models/digits/infer: this is the model 'prices'")


@pytest.mark.slow
def test_kserves_client(digits: Served, tmp_path: Path) -> None:
    """It needs pandas 2 and protobuf 6, so an environment of its own."""
    python = environment(tmp_path / "kserve", "kserve==0.21.*")
    script = CLIENTS / "kserve_client.py"
    labels = tiny.asked_directly(digits.pieces, {"x": ROWS})["label"]
    assert told([python, script, "HOST", "PORT", "v1"], digits) == [[str(label) for label in labels]]
    for protocol in ("v2", "v2-binary", "grpc"):
        assert tells_the_probabilities([python, script, "HOST", "PORT", protocol], digits)


@pytest.mark.slow
def test_mlservers_library(digits: Served, tmp_path: Path) -> None:
    """It needs an older fastapi, so an environment of its own."""
    python = environment(tmp_path / "mlserver", "mlserver==1.7.*")
    for protocol in ("rest", "grpc"):
        assert tells_the_probabilities([python, CLIENTS / "mlserver_client.py", "HOST", "PORT", protocol], digits)
    asked, answered = tmp_path / "asked.jsonl", tmp_path / "answered.jsonl"
    tensor = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
    lines = [json.dumps({"id": f"{row}", "inputs": [tensor | {"data": values}]}) for row, values in enumerate(ROWS.tolist())]
    asked.write_text("\n".join(lines) + "\n")
    expected = tiny.asked_directly(digits.pieces, {"x": ROWS})["label"].tolist()
    for binary in (False, True):
        command: list[str | Path] = [
            python.with_name("mlserver"),
            "infer",
            "-u",
            f"127.0.0.1:{digits.port + 1}",
            "-m",
            "digits",
        ]
        command += ["-i", asked, "-o", answered, *(["--binary-data"] if binary else [])]
        subprocess.run(command, check=True, timeout=120, capture_output=True)
        replies = sorted((json.loads(line) for line in answered.read_text().splitlines()), key=lambda reply: reply["id"])
        labels = [output["data"] for reply in replies for output in reply["outputs"] if output["name"] == "label"]
        assert [int(label) for (label,) in labels] == expected
