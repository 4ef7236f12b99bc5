"""Deployments follow the roster, and a schedule really fires."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from fdpipe.testing import FakeCheck
from fdpipe.testing.rehearsal import fake_plan
from flows.deployments import deployments, work_pool_of
from tests.standing_server import environment


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Two models, one of them on a schedule."""
    for name, lines in {
        "digits": "name: digits\ntargets: [cpu, gpu]\nschedule: '30 2 * * *'\n",
        "wine": "name: wine\nalias: best\n",
    }.items():
        (tmp_path / "registry" / name).mkdir(parents=True)
        (tmp_path / "registry" / name / "model.yaml").write_text(lines)
    return tmp_path


def test_the_roster_says_what_is_deployed(project: Path) -> None:
    found = {f"{one.flow_name}/{one.name}": one for one in deployments(project)}
    assert set(found) == {
        "release/digits-cpu",
        "release/digits-gpu",
        "release/wine-cpu",
        "train_and_release/digits",
        "train_and_release/wine",
        "matrix/roster",
    }
    digits = found["release/digits-gpu"]
    assert digits.parameters["overrides"] == ["model=digits@candidate", "+target=gpu"]
    assert digits.entrypoint == "fdpipe.orchestrate.flows.release"
    assert [schedule.schedule.cron for schedule in digits.schedules or []] == ["30 2 * * *"]  # type: ignore[union-attr]
    assert not found["release/wine-cpu"].schedules
    assert found["release/wine-cpu"].parameters["overrides"] == ["model=wine@best", "+target=cpu"]
    assert [job["overrides"][1] for job in found["matrix/roster"].parameters["jobs"]] == [
        "+target=cpu",
        "+target=gpu",
        "+target=cpu",
    ]
    assert all(one.concurrency_limit == 1 for one in found.values())
    assert {name: work_pool_of(one) for name, one in found.items() if "digits-" in name or "matrix" in name} == {
        "release/digits-cpu": "fdpipe-cpu",
        "release/digits-gpu": "fdpipe-gpu",
        "matrix/roster": "fdpipe-cpu",
    }


SERVE = """
import sys
from datetime import timedelta
from pathlib import Path
from fdpipe.home import settle_environment
settle_environment()
import msgspec, prefect
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.schedules import IntervalSchedule
from flows.deployments import deployments
(found,) = [one for one in deployments(Path.cwd()) if one.name == "digits-cpu"]
found.parameters = {"plan": msgspec.json.decode(sys.argv[1]), "trigger": "schedule"}
found.schedules = [DeploymentScheduleCreate(schedule=IntervalSchedule(interval=timedelta(seconds=5)))]
prefect.serve(found, limit=1)
"""


def test_a_schedule_fires(server: str, project: Path, home: Path, tmp_path: Path) -> None:
    plan = fake_plan(gate={"floor": FakeCheck(floor=1.1)}).to_json()
    variables = environment(tmp_path / "prefect") | {"PREFECT_API_URL": server, "FDPIPE_HOME": str(home)}
    repository = Path(__file__).parents[2]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, plan],
            cwd=project,
            env=variables | {"PYTHONPATH": str(repository)},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            run = wait_for_a_run(server, process, tmp_path / "log")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    assert run["name"] == "fake@candidate on here"
    assert run["auto_scheduled"]
    assert run["state_name"] == "Rejected"


def wait_for_a_run(url: str, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, Any]:
    """The first run of the deployment that has ended."""
    wanted = {"deployments": {"name": {"any_": ["digits-cpu"]}}, "flow_runs": {"state": {"type": {"any_": ["COMPLETED"]}}}}
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = httpx.post(f"{url}/flow_runs/filter", json=wanted, trust_env=False).json()
        if found:
            return dict(found[0])
        time.sleep(0.5)
    raise AssertionError(log.read_text()[-3000:])


def test_without_a_server_serving_says_what_to_do(home: Path, project: Path, tmp_path: Path) -> None:
    repository = Path(__file__).parents[2]
    variables = environment(tmp_path / "prefect") | {"HOME": str(tmp_path), "PYTHONPATH": str(repository)}
    done = subprocess.run(
        [sys.executable, "-m", "flows"], cwd=project, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "prefect server start" in done.stderr
    assert "Traceback" not in done.stderr
