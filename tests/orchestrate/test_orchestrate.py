"""Runs as flows, on a real server."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from prefect import flow

from fdpipe.errors import ConfigError, Exit, SourceError
from fdpipe.execution import Execution, gravest
from fdpipe.orchestrate import run_matrix, run_release
from fdpipe.orchestrate.flows import release, train_and_release
from fdpipe.orchestrate.tasks import as_task
from fdpipe.plan import Plan
from fdpipe.runs import Runs
from fdpipe.testing import FakeCheck
from fdpipe.testing.rehearsal import fake_plan
from tests.orchestrate.conftest import Seen
from tests.standing_server import environment


def refusing(**changes: Any) -> Plan:  # noqa: ANN401 - any field of Plan
    """A plan whose line ends with the gate, before anything is built."""
    return fake_plan(gate={"floor": FakeCheck(floor=1.1)}, **changes)


def eventually(wanted: Callable[[], bool], seconds: float = 20) -> bool:
    """Prefect sends task states and logs in the background."""
    deadline = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def test_a_release_is_a_flow_run_whose_steps_are_task_runs(seen: Seen) -> None:
    execution = run_release(refusing())
    assert execution.exit_code is Exit.REJECTED
    run = seen.flow_run("fake@candidate on here")
    assert (run["state_type"], run["state_name"]) == ("COMPLETED", "Rejected")
    assert run["state"]["message"] == execution.record.rejection.reason  # type: ignore[union-attr]
    trials = ["trial fake/none", "trial fake/half"]
    steps = ["resolve", "fetch", "gather", "convert", *trials, "benchmark", "energy", "judge", "publish"]
    assert eventually(lambda: [task["name"] for task in seen.task_runs(run)] == steps)
    assert eventually(lambda: {task["state_name"] for task in seen.task_runs(run)} == {"Completed"})


def test_the_candidates_and_the_verdict_are_artifacts_and_the_events_are_logs(seen: Seen) -> None:
    run_release(refusing())
    run = seen.flow_run("fake@candidate on here")
    of_run = {"flow_runs": {"id": {"any_": [run["id"]]}}}
    artifacts = {item["key"]: item for item in seen.ask("artifacts", **of_run) if item["key"]}
    assert set(artifacts) == {"fake-here-candidates", "fake-here-verdict"}
    assert "fake/half" in artifacts["fake-here-candidates"]["data"]
    assert artifacts["fake-here-verdict"]["data"].startswith("**rejected**: floor: fake/none has 1.000")
    logs = {"logs": {"flow_run_id": {"any_": [run["id"]]}}}
    assert eventually(lambda: any("convert done" in item["message"] for item in seen.ask("logs", **logs)))


def test_an_error_comes_out_as_it_was_raised(seen: Seen, home: Path) -> None:
    with pytest.raises(SourceError, match="there is no model 'nosuch@x'") as caught:
        run_release(refusing(model="nosuch@x"))
    assert caught.value.exit_code is Exit.SOURCE
    assert seen.flow_run("nosuch@x on here")["state_name"] == "Failed"
    assert Runs(home).get(None).state().exit_code == Exit.SOURCE


def test_a_matrix_runs_every_job_and_fails_if_one_did(seen: Seen) -> None:
    refused, missing, again = run_matrix([refusing(), refusing(model="nosuch"), refusing()])
    assert isinstance(refused, Execution)
    assert isinstance(again, Execution)
    assert isinstance(missing, SourceError)
    assert gravest([refused, missing, again]) is Exit.SOURCE
    run = seen.flow_run("3 releases")
    assert run["state_type"] == "FAILED"
    assert run["state"]["message"].startswith("1 of 3 failed: job 2: there is no model 'nosuch'")


def test_a_matrix_of_refusals_completes_as_rejected(seen: Seen) -> None:
    assert gravest(run_matrix([refusing()])) is Exit.REJECTED
    assert seen.flow_run("1 releases")["state_name"] == "Rejected"


def test_wrong_parameters_are_one_line(seen: Seen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match="either a plan or overrides"):
        release()
    with pytest.raises(ConfigError, match="nosuch"):
        release(overrides=["model=fake", "+target=nosuch"])
    assert seen.flow_run("fake on nosuch")["state_name"] == "Failed"
    with pytest.raises(ConfigError, match="'nosuch' is not in the roster"):
        train_and_release("nosuch")


def test_only_a_broken_connection_is_tried_again(seen: Seen) -> None:
    calls: list[str] = []

    def fetch(error: Exception) -> int:
        calls.append("fetch")
        if len(calls) == 1:
            raise SourceError("the registry is away") from error
        return len(calls)

    @flow(persist_result=False)
    def broken() -> int:
        return as_task(fetch, ConnectionRefusedError("refused"))

    @flow(persist_result=False)
    def wrong() -> int:
        return as_task(fetch, ValueError("wrong"))

    assert broken() == 2
    calls.clear()
    with pytest.raises(SourceError):
        wrong()
    assert calls == ["fetch"]


def test_an_interrupt_stays_an_interrupt(seen: Seen) -> None:
    def step() -> None:
        raise KeyboardInterrupt

    @flow(persist_result=False)
    def interrupted() -> None:
        as_task(step)

    with pytest.raises(KeyboardInterrupt):
        interrupted()


TRAINED = """
from fdpipe.home import settle_environment
settle_environment()
from fdpipe.orchestrate.flows import train_and_release
state = train_and_release("diabetes", ["benchmark=quick", "recipe=[none]", "gate.max_drop=-1"], return_state=True)
print(state.name, state.message)
"""


@pytest.mark.slow
def test_a_model_is_trained_and_released(seen: Seen, home: Path, tmp_path: Path) -> None:
    """With the real registry, converter and runtime, up to the gate, which asks for the impossible."""
    shutil.copytree(Path(__file__).parents[2] / "registry/diabetes", tmp_path / "registry/diabetes")
    variables = environment(tmp_path / "prefect") | {"PREFECT_API_URL": seen.url, "FDPIPE_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", TRAINED], cwd=tmp_path, env=variables, capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("Rejected quality: onnxruntime/none"), done.stdout + done.stderr
    assert seen.flow_run("diabetes, trained")["state_name"] == "Rejected"
    assert seen.flow_run("diabetes/1 on cpu")["state_name"] == "Rejected"


KILLED = """
import os, sys
from fdpipe.home import settle_environment
settle_environment()
from fdpipe.orchestrate import run_release
from fdpipe.testing.rehearsal import fake_plan
from fdpipe.testing import FakeCheck
execution = run_release(fake_plan(gate={"floor": FakeCheck(floor=1.1)}))
print(int(execution.exit_code), flush=True)
input()
"""


def test_without_a_server_a_temporary_one_lives_as_long_as_the_process(home: Path, tmp_path: Path) -> None:
    variables = environment(tmp_path / "prefect") | {"HOME": str(tmp_path), "FDPIPE_HOME": str(home)}
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED], env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"10\n"
    children = psutil.Process(process.pid).children(recursive=True)
    servers = [child for child in children if "prefect" in " ".join(child.cmdline())]
    assert len(servers) == 1, "beside it, there may be what the benchmark forks from"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(children, timeout=10)
    assert not alive
    assert process.stderr.read() == b"", "Prefect says nothing on the user's terminal"
