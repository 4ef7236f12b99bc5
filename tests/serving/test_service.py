"""A running release as a process: its figures, its limits, its end."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import psutil
import pytest

from fdpipe.serving import listener
from fdpipe.serving.listener import listening_socket
from fdpipe.serving.service import read_manifest
from tests.serving.conftest import FORBIDDEN, Served, start, wait_ready
from tests.tiny.release import free_triple


def test_figures_of_all_levels(digits: Served) -> None:
    before = digits.metrics()
    httpx.post(f"{digits.api}/predict", json={"inputs": {"x": [[100, 0, 0, 0]]}})
    body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 4], "data": [0] * 8}]}
    httpx.post(f"{digits.oip}/v2/models/digits/infer", json=body)
    httpx.post(f"{digits.oip}/v2/models/digits/infer", json={})
    after = digits.metrics()

    def grown(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert grown('fdpipe_requests_total{protocol="bentoml",status="2xx"}') == 1
    assert grown('fdpipe_requests_total{protocol="oip_rest",status="2xx"}') == 1
    assert grown('fdpipe_requests_total{protocol="oip_rest",status="4xx"}') == 1
    assert grown('fdpipe_errors_total{kind="bad_request"}') == 1
    assert grown('fdpipe_request_seconds_count{protocol="oip_rest"}') == 2
    assert grown("fdpipe_rows_total") == 3
    assert grown('fdpipe_input_values_total{input="x"}') == 12
    assert grown('fdpipe_input_out_of_range_total{input="x"}') == 1
    assert after["fdpipe_requests_in_flight"] == 0
    assert after["fdpipe_process_resident_memory_bytes"] > 2**20
    (info,) = (name for name in after if name.startswith("fdpipe_release_info"))
    assert digits.release.digest in info
    assert (
        sum(figure for name, figure in after.items() if name.startswith("fdpipe_predictions_total"))
        == after["fdpipe_rows_total"]
    )


def test_health(digits: Served) -> None:
    for path in ("/livez", "/readyz", "/v2/health/live", "/v2/health/ready"):
        assert httpx.get(digits.api + path).status_code == 200
    for path in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert httpx.get(digits.oip + path).status_code == 200
    assert httpx.get(f"{digits.oip}/docs.json").status_code == 404


def test_the_second_port_does_not_wait_for_acknowledgements() -> None:
    """What makes asyncio set TCP_NODELAY on every connection. Workers share the port, another program's is not taken."""
    with listening_socket("127.0.0.1", 0) as listening:
        assert listening.proto == socket.IPPROTO_TCP
        listening_socket("127.0.0.1", listening.getsockname()[1]).close()
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(OSError, match="in use"):
        listening_socket("127.0.0.1", other.getsockname()[1])


def test_the_blocker_blocks(digits: Served) -> None:
    """That the service runs behind it shows that it imports none of these; here is shown that it would have failed."""
    environment = os.environ | {"PYTHONPATH": str(digits.log.parent / "blocker")}
    for name in (*FORBIDDEN, "fdpipe.cli", "fdpipe.config", "fdpipe"):
        done = subprocess.run(
            [sys.executable, "-c", f"import {name}"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, name
        assert "must" in done.stderr


def test_serving_leaves_the_bento_as_it_is(digits: Served) -> None:
    assert not list(digits.release.path.rglob("__pycache__"))
    assert read_manifest(digits.release.manifest.parent).digest == digits.release.digest


def test_the_log_has_no_traceback(digits: Served) -> None:
    assert "Traceback" not in digits.log.read_text()


def test_a_service_that_anybody_starts_writes_nothing_into_his_home(digits: Served, tmp_path: Path) -> None:
    """But BentoML, into its own folder. Nobody has switched off any telemetry in this environment."""
    port = free_triple()
    for name in ("home", "tmp", "run"):
        (tmp_path / name).mkdir()
    environment = {
        "PATH": os.defpath,
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        listener.PORT: str(port),
    }
    command = [sys.executable, "-m", "bentoml", "serve", str(digits.release.path), "--port", str(port)]
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, cwd=tmp_path / "run", stdout=log, stderr=log, start_new_session=True
        )
    try:
        wait_ready(process, port, tmp_path / "log")
        assert httpx.post(f"http://127.0.0.1:{port}/predict", json={"inputs": {"x": [[1, 2, 3, 4]]}}).status_code == 200
        process.terminate()
        process.wait(timeout=30)
    finally:
        _end(process)
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path != tmp_path / "log"]
    assert [path for path in written if tmp_path / "home" / "bentoml" not in path.parents] == []


def test_a_page_loads_nothing_from_elsewhere(digits: Served) -> None:
    reply = httpx.get(f"{digits.api}/")
    assert "googletagmanager" in reply.text
    assert reply.headers["content-security-policy"].startswith("default-src 'self';")
    assert "content-security-policy" not in httpx.get(f"{digits.api}/docs.json").headers


def test_a_changed_model_is_not_served(digits: Served, tmp_path: Path) -> None:
    bento = tmp_path / "bento"
    shutil.copytree(digits.release.path, bento)
    model = bento / "src" / "release" / "model" / "model.onnx"
    model.write_bytes(model.read_bytes() + b"\0")
    process = start(bento, tmp_path / "run", free_triple())
    assert process.wait(timeout=60) == 1
    assert (
        "fdpipe: model.onnx of digits-cpu is not the released one: deploy the release again"
        in (tmp_path / "run" / "log").read_text()
    )
    assert "Traceback" not in (tmp_path / "run" / "log").read_text()


def test_workers_die_with_a_killed_master(digits: Served, tmp_path: Path) -> None:
    port = free_triple()
    process = start(digits.release.path, tmp_path / "run", port)
    try:
        wait_ready(process, port, tmp_path / "run" / "log")
        workers = psutil.Process(process.pid).children(recursive=True)
        assert workers
        process.kill()
        process.wait()
        _, alive = psutil.wait_procs(workers, timeout=10)
        assert not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]
    finally:
        _end(process)


def test_a_terminated_service_ends(digits: Served, tmp_path: Path) -> None:
    port = free_triple()
    process = start(digits.release.path, tmp_path / "run", port)
    try:
        wait_ready(process, port, tmp_path / "run" / "log")
        process.terminate()
        assert process.wait(timeout=30) == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"http://127.0.0.1:{port + 1}/v2")
        assert "Traceback" not in (tmp_path / "run" / "log").read_text()
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        time.sleep(0)
    process.wait()
