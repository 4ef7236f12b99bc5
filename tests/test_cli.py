"""The command line: one line for each mistake, an exit code for each end, and the whole line as a user sees it."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fdpipe import __version__, bento
from fdpipe.cli import call
from fdpipe.cli.session import Session
from fdpipe.cli.streams import Streams
from fdpipe.errors import Exit

ROOT = Path(__file__).parent.parent
FDPIPE = Path(sys.executable).with_name("fdpipe")
HEAVY = {
    "hydra",
    "omegaconf",
    "prefect",
    "mlflow",
    "bentoml",
    "onnxruntime",
    "onnx",
    "sklearn",
    "pandas",
    "numpy",
    "rich",
    "msgspec",
}
NARROW = ("search=grid", "runtime=[onnxruntime]")
"""Few trials, and the same whatever the gate says of them."""
DIGITS = ("model=digits@candidate", "+target=cpu", "orchestrator=none", "benchmark=quick", *NARROW)
DRY = (*DIGITS, "deployer=dry_run")


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, object]:
        """The one object on standard output."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def fdpipe(*words: str) -> Said:
    """A command, in this process."""
    out, err = io.StringIO(), io.StringIO()
    code = call(Session(streams=Streams(out, err)), words)
    return Said(code, out.getvalue(), err.getvalue())


def process(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command, as a user runs it."""
    return subprocess.run(
        [FDPIPE, *words], env=os.environ | environment, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture(scope="module", autouse=True)
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One state folder for all of these tests, in the project's own root."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "BENTOML_HOME", "PREFECT_HOME", "PREFECT_API_URL", "TMPDIR"):
            patch.delenv(name, raising=False)
        home = tmp_path_factory.mktemp("state") / "home"
        patch.setenv("FDPIPE_HOME", str(home))
        patch.chdir(ROOT)
        yield home


@pytest.fixture(scope="module")
def digits(state: Path) -> str:
    """The digits, registered once; their version."""
    said = fdpipe("train", "digits", "--json")
    assert said.code == 0, said.err
    return str(said.json["version"])


@pytest.fixture(scope="module")
def first_run(digits: str) -> Said:
    """The first run of the line, up to the proof."""
    return fdpipe("run", *DRY)


class TestStart:
    """Before anything happens."""

    def test_help_imports_nothing_heavy(self) -> None:
        """The program's own list of modules says so."""
        code = (
            "import sys; from fdpipe.cli import call; from fdpipe.cli.session import Session\n"
            "call(Session(), ['--help']); print(sorted({name.partition('.')[0] for name in sys.modules}))"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert "Usage: fdpipe" in done.stdout
        assert not set(eval(done.stdout.splitlines()[-1])) & HEAVY

    def test_version(self) -> None:
        """As a process."""
        done = process("--version")
        assert (done.returncode, done.stdout) == (0, f"fdpipe {__version__}\n")

    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_completion_is_a_script_for_the_program(self, shell: str) -> None:
        """Each shell's script asks the program itself."""
        said = fdpipe("completion", shell)
        assert said.code == 0
        assert "_FDPIPE_COMPLETE" in said.out

    def test_completion_knows_the_commands(self) -> None:
        """As a shell asks."""
        done = process(_FDPIPE_COMPLETE="bash_complete", COMP_WORDS="fdpipe tr", COMP_CWORD="1")
        assert "train" in done.stdout


class TestMistakes:
    """Each is one line that names the key, with exit code 2; nothing is run."""

    @pytest.mark.parametrize(
        ("override", "named"),
        [
            ("+target=nosuch", "nosuch"),
            ("recipe=nosuch", "nosuch"),
            ("gate.max_drop=abc", "max_drop"),
            ("gate.max_drob=1", "max_drob"),
            ("nosuch=1", "nosuch"),
            ("metric.accuracy._target_=os.system", "_target_"),
            ("gate=[]", "gate"),
            ("--nosuch", "--nosuch"),
        ],
    )
    def test_a_wrong_override(self, override: str, named: str) -> None:
        """The key, or the value, and what would be right."""
        said = fdpipe("run", "model=digits@candidate", override)
        assert said.code == Exit.CONFIGURATION
        assert named in said.err
        assert len(said.err.splitlines()) == 1

    def test_a_worker_from_elsewhere(self, tmp_path: Path) -> None:
        """A YAML file may name only workers of trusted packages."""
        (tmp_path / "metric").mkdir()
        (tmp_path / "metric" / "evil.yaml").write_text("# @package metric.evil\n_target_: os.system\n")
        said = fdpipe("run", "model=digits@candidate", "metric=[evil]", "--config-dir", str(tmp_path))
        assert said.code == Exit.CONFIGURATION
        assert "os.system" in said.err

    def test_no_model(self) -> None:
        """The roster has three, so one must be named."""
        said = fdpipe("run")
        assert said.code == Exit.CONFIGURATION
        assert "digits@candidate" in said.err

    def test_a_wrong_command(self) -> None:
        """click's own complaint, as one line."""
        said = fdpipe("nosuch")
        assert (said.code, said.err) == (Exit.CONFIGURATION, "fdpipe: No such command 'nosuch'.\n")

    def test_machines_get_an_object(self) -> None:
        """The line goes to standard error, the object to standard output."""
        said = fdpipe("run", "model=digits@candidate", "nosuch=1", "--json")
        assert said.json["exit_code"] == Exit.CONFIGURATION
        assert said.err.startswith("fdpipe: ")

    @pytest.mark.parametrize(
        "words", [("report", "nosuch"), ("list", "nosuch"), ("logs", "nosuch"), ("stop", "nosuch"), ("prune",)]
    )
    def test_a_name_that_is_none(self, words: tuple[str, ...]) -> None:
        """Of a run, a room, a service; and a prune without a bound."""
        said = fdpipe(*words)
        assert (said.code, len(said.err.splitlines())) == (Exit.CONFIGURATION, 1)

    def test_a_plan_takes_no_overrides(self, tmp_path: Path) -> None:
        """It is repeated as it is."""
        said = fdpipe("run", "--plan", str(tmp_path / "plan.json"), "gate.max_drop=1")
        assert (said.code, "as it is" in said.err) == (Exit.CONFIGURATION, True)

    def test_a_plan_that_is_not_there(self, tmp_path: Path) -> None:
        """The file is named."""
        said = fdpipe("run", "--plan", str(tmp_path / "plan.json"))
        assert (said.code, "plan.json" in said.err) == (Exit.CONFIGURATION, True)

    def test_an_unknown_model(self, digits: str) -> None:
        """Only the registry can know it."""
        said = fdpipe("run", "model=nosuch@x", "+target=cpu", "orchestrator=none")
        assert said.code == Exit.SOURCE
        assert "nosuch" in said.err.splitlines()[-1]

    def test_missing_libraries(self, digits: str) -> None:
        """Found before anything is fetched."""
        said = fdpipe("run", "model=digits@candidate", "+target=gpu", "orchestrator=none")
        assert said.code == Exit.MISSING_EXTRA
        assert "pip install 'fdpipe[gpu]'" in said.err
        assert "fetch" not in said.out

    def test_an_internal_error_keeps_its_traceback(self, tmp_path: Path) -> None:
        """A file stands where the runs' folder should be, which nobody expects."""
        (tmp_path / "home").mkdir()
        (tmp_path / "home" / "runs").write_text("in the way")
        done = process("run", *DRY, FDPIPE_HOME=str(tmp_path / "home"))
        assert done.returncode == Exit.INTERNAL
        assert len(done.stderr.splitlines()) == 1
        assert "runs" in (tmp_path / "home" / "traceback.txt").read_text()

    def test_an_interrupt(self, tmp_path: Path) -> None:
        """SIGINT ends it with 130 and one line."""
        command = [str(FDPIPE), "train", "digits"]
        environment = os.environ | {"FDPIPE_HOME": str(tmp_path / "home")}
        running = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        while not (tmp_path / "home" / "chatter.log").exists():
            time.sleep(0.02)
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, err = running.communicate(timeout=60)
        assert (running.returncode, err) == (Exit.INTERRUPTED, "fdpipe: interrupted\n")

    def test_a_reader_that_goes_away(self) -> None:
        """As in `fdpipe list | head -1`: quiet."""
        running = subprocess.Popen([FDPIPE, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert running.stderr.read() == ""
        running.wait(timeout=60)


class TestLine:
    """The line on the digits, directly."""

    def test_it_shows_the_steps_the_candidates_and_the_verdict(self, first_run: Said) -> None:
        """In that order, on standard output."""
        assert first_run.code == Exit.DONE, first_run.err
        positions = [
            first_run.out.index(text)
            for text in ("resolve", "convert", "trial ", "benchmark", "\ncandidate", "\nverdict", "\nreport")
        ]
        assert positions == sorted(positions)
        assert first_run.err == ""

    def test_again_it_reuses_what_is_unchanged(self, first_run: Said) -> None:
        """And says so."""
        said = fdpipe("run", *DRY)
        assert said.code == Exit.DONE
        lines = {line.split()[0]: line for line in said.out.splitlines() if line.startswith("  ")}
        assert all("reused" in lines[step] for step in ("fetch", "gather", "convert", "benchmark", "judge", "package", "prove"))
        assert any(line.startswith("  trial ") and "reused" in line for line in said.out.splitlines())
        inside = {line.split()[0] for line in said.out.splitlines() if line.startswith("    ")}
        assert not inside & {"evaluate", "benchmark"}, "a trial that failed fails again, and nothing is measured again"

    def test_a_plan_shows_what_is_stored(self, first_run: Said) -> None:
        """All of it, after a run; and after a change only what comes before that."""
        said = fdpipe("plan", *DRY)
        assert said.code == Exit.DONE
        assert "stored" in said.out
        assert "depends" not in said.out
        changed = fdpipe("plan", *DRY, "gate.max_drop=0.5")
        states = dict(
            line.split()[:2] for line in changed.out.splitlines() if line.startswith(("benchmark", "judge", "deploy"))
        )
        assert states == {"benchmark": "stored", "judge": "would", "deploy": "depends"}

    def test_the_default_search_comes_to_a_verdict(self, digits: str) -> None:
        """However few trials it may have."""
        said = fdpipe("run", *(word for word in DRY if word not in NARROW), "search.max_trials=4")
        assert said.code == Exit.DONE
        assert "search.max_trials=4 are tried" in said.err + said.out
        assert "verdict" in said.out

    def test_a_plan_for_a_machine_without_the_libraries(self, digits: str) -> None:
        """It can be made anywhere, and says what is missing."""
        said = fdpipe("plan", "model=digits@candidate", "+target=gpu")
        assert said.code == Exit.DONE
        assert "fdpipe[gpu]" in said.err

    def test_a_plan_can_be_repeated(self, first_run: Said, tmp_path: Path) -> None:
        """Its JSON is pinned to the version."""
        plan = fdpipe("plan", *DRY, "--json")
        (tmp_path / "plan.json").write_text(plan.out)
        assert plan.json["pinned"]
        said = fdpipe("run", "--plan", str(tmp_path / "plan.json"), "--json")
        assert (said.code, said.json["exit_code"]) == (Exit.DONE, 0)

    def test_targets_are_compared_without_deploying(self, first_run: Said) -> None:
        """What the run measured is reused; where the only target is not here, it says why in a line."""
        absent = fdpipe("compare", "model=digits@candidate", "+target=gpu", "aim=size")
        assert absent.code == Exit.MISSING_EXTRA
        assert "fdpipe[gpu]" in absent.err
        said = fdpipe("compare", *DIGITS, "aim=size", "target.price_per_hour=1", "--json")
        assert said.code == Exit.DONE, said.err
        rows: Any = said.json["rows"]
        (row,) = rows
        assert row["runtime"] == "onnxruntime"
        assert {name: one["basis"] for name, one in row["figures"].items() if name in ("p50", "cost", "memory")} == {
            "p50": "measured",
            "cost": "derived",
            "memory": "not measured",
        }
        lines = [line.split() for line in said.err.splitlines() if line.startswith("  ")]
        assert ["benchmark", "reused"] in lines
        assert ["package", "reused"] not in lines

    def test_what_was_measured_is_in_the_history(self, first_run: Said) -> None:
        """A dry run has nothing to compare it with."""
        said = fdpipe("trend", "model=digits", "+target=cpu")
        assert said.code == Exit.DONE
        assert "digits on cpu" in said.out
        assert "there is no release before the newest on this machine" in said.out

    def test_a_refusal_has_its_own_code(self, first_run: Said) -> None:
        """Nobody gains a whole figure of accuracy."""
        said = fdpipe("run", *DRY, "gate.max_drop=-1")
        assert said.code == Exit.REJECTED
        assert "rejected" in said.out
        assert "package" not in said.out

    def test_the_config_is_shown(self) -> None:
        """Hydra's habit; nothing runs."""
        said = fdpipe("run", *DIGITS, "gate.max_drop=0.123", "--cfg", "job")
        assert (said.code, "0.123" in said.out) == (Exit.DONE, True)

    def test_the_report_is_found(self, first_run: Said) -> None:
        """The newest one's path, and its content for machines."""
        path = Path(fdpipe("report").out.strip())
        assert path.name == "report.html"
        assert path.exists()
        assert fdpipe("report", "--json").json["result"]

    def test_the_runs_are_listed(self, first_run: Said) -> None:
        """With their result."""
        assert "digits@candidate" in fdpipe("runs").out

    def test_training_is_not_repeated(self, digits: str) -> None:
        """When it is only wanted where it is missing."""
        said = fdpipe("train", "digits", "--if-missing")
        assert (said.code, f"version {digits}" in said.out) == (Exit.DONE, True)

    def test_prune_shows_and_removes(self, first_run: Said) -> None:
        """First what would go; nothing is live here, so all may go."""
        shown = fdpipe("prune", "--max-gib", "0", "--dry-run")
        assert shown.out.startswith("would remove")
        assert fdpipe("prune", "--older-than", "1").out.startswith("removed 0 ")

    def test_libraries_do_not_talk_to_the_user(self, digits: str) -> None:
        """As a process: standard output is one object, standard error only our own lines; the rest is in the state folder."""
        done = process("run", *DRY, "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout)["exit_code"] == 0
        assert all(line.startswith(("digits@candidate on cpu, run ", "  ")) for line in done.stderr.splitlines())


class TestSweep:
    """Several runs in one command."""

    def test_every_job_counts(self, first_run: Said) -> None:
        """One succeeds, one is refused by its libraries, one cannot be composed; the gravest code is the command's."""
        wide = [word for word in DRY[2:] if word not in NARROW]
        sweep = "+target=cpu,gpu,nosuch"
        said = fdpipe("run", "--multirun", "model=digits@candidate", sweep, "search.max_trials=2", *wide)
        assert said.code == Exit.MISSING_EXTRA
        codes = {line.split()[0]: line.split()[1] for line in said.out.splitlines() if line.startswith("+target=")}
        assert codes == {"+target=cpu": "0", "+target=gpu": "3", "+target=nosuch": "2"}

    def test_machines_get_every_job(self, first_run: Said) -> None:
        """Each with its overrides and its code."""
        said = fdpipe("run", "-m", *DRY, "gate.max_drop=0.01,-1", "--json")
        assert said.code == Exit.REJECTED
        assert [job["exit_code"] for job in said.json["jobs"]] == [0, 10]  # type: ignore[attr-defined]

    def test_a_list_needs_multirun(self) -> None:
        """As the line says."""
        said = fdpipe("run", "model=digits@candidate", "+target=cpu,gpu")
        assert (said.code, "--multirun" in said.err) == (Exit.CONFIGURATION, True)


class TestPrefect:
    """The same line as a flow, with the temporary server that Prefect starts."""

    def test_it_runs_as_a_flow(self, first_run: Said) -> None:
        """As a process: the steps and the result are the same, and Prefect does not talk to the user."""
        done = process("run", *[word for word in DRY if not word.startswith("orchestrator")], "gate.max_drop=-1")
        assert done.returncode == Exit.REJECTED, done.stderr
        assert done.stderr == ""
        assert "reused" in done.stdout
        assert "rejected" in done.stdout
        assert "prefect" not in done.stdout.lower()


@pytest.fixture(scope="module")
def deployed(digits: str) -> Iterator[tuple[str, str]]:
    """The override that says its port, and the printed curl line."""
    port = f"service.port={bento.free_port('127.0.0.1', 20000 + os.getpid() % 10000)}"
    try:
        said = fdpipe("run", *DIGITS, port)
        assert said.code == Exit.DONE, said.err
        yield port, next(line for line in said.out.splitlines() if line.startswith("curl "))
    finally:
        assert fdpipe("stop", "--json").code == Exit.DONE


class TestService:
    """The deployed service, from its start to its end."""

    def test_it_answers_and_can_be_stopped_and_started(self, deployed: tuple[str, str]) -> None:
        """The printed curl line → status → logs → the same again → stop → start."""
        port, line = deployed
        answer = json.loads(subprocess.check_output(line, shell=True))
        assert answer["label"] == fdpipe("report", "--json").json["expected"]["label"]  # type: ignore[index]
        smoke = [sys.executable, str(ROOT / ".ci" / "smoke"), str(FDPIPE)]
        assert "digits-cpu answers what it should" in subprocess.run(smoke, capture_output=True, text=True, check=True).stdout
        assert port.replace("service.port=", "127.0.0.1:") in fdpipe("status").out
        assert len(fdpipe("logs", "digits-cpu", "-n", "2").out.splitlines()) == 2
        assert "/predict" in _followed(line)
        again = fdpipe("run", *DIGITS, port)
        assert again.code == Exit.DONE, again.out + again.err
        assert "reused" in next(text for text in again.out.splitlines() if text.startswith("  deploy"))
        assert "this release is deployed" in fdpipe("plan", *DIGITS, port).out
        assert "stopped" in fdpipe("stop").out
        assert "running" in fdpipe("start", "digits-cpu").out

    def test_it_is_put_under_load_by_its_name(self, deployed: tuple[str, str]) -> None:
        """With the rows of its own release."""
        said = fdpipe("load", "digits-cpu", "-c", "2", "--seconds", "0.3", "--form", "binary", "--json")
        assert said.code == Exit.DONE, said.err
        assert said.json["statuses"] == {"200": said.json["sent"]}

    def test_a_worse_version_is_refused_and_the_old_one_answers(
        self, deployed: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A retrained model may be worse: the incumbent, on the same rows, is what it is held against."""
        port, line = deployed
        before = json.loads(subprocess.check_output(line, shell=True))
        live = fdpipe("status", "--json").json["services"][0]["release"]  # type: ignore[index]
        worse = tmp_path / "registry" / "digits"
        shutil.copytree(ROOT / "registry" / "digits", worse, ignore=shutil.ignore_patterns("__pycache__"))
        code = (worse / "train.py").read_text()
        (worse / "train.py").write_text(code.replace("fit(fitted, fitted_label)", "fit(fitted[:90], fitted_label[:90])"))
        monkeypatch.chdir(tmp_path)
        assert fdpipe("train", "digits").code == Exit.DONE
        said = fdpipe("run", *DIGITS, port, "gate.min_quality=null")
        assert said.code == Exit.REJECTED, said.err
        verdict = next(text for text in said.out.splitlines() if text.startswith("rejected"))
        assert "incumbent" in verdict
        assert live[:12] in verdict
        assert json.loads(subprocess.check_output(line, shell=True)) == before
        assert fdpipe("status", "--json").json["services"][0]["release"] == live  # type: ignore[index]


def _followed(request: str) -> str:
    """What `logs -f` shows of a request; an interrupt ends it."""
    following = subprocess.Popen([FDPIPE, "logs", "digits-cpu", "-f", "-n", "0"], stdout=subprocess.PIPE, text=True)
    assert following.stdout is not None
    time.sleep(3)
    subprocess.check_output(request, shell=True)
    shown = following.stdout.readline()
    following.send_signal(signal.SIGINT)
    assert following.wait(timeout=30) == Exit.INTERRUPTED
    following.stdout.close()
    return shown


class TestInstallation:
    """What there is."""

    def test_doctor_finds_nothing_missing_here(self) -> None:
        """The developers' environment is whole; the extra for GPUs is explained."""
        said = fdpipe("doctor")
        assert said.code == Exit.DONE
        assert "fdpipe[gpu]" in said.out
        assert "free" in said.out

    def test_doctor_names_a_place_that_cannot_be_written(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """/proc can be written by nobody."""
        monkeypatch.setenv("FDPIPE_HOME", "/proc/fdpipe")
        assert "cannot be written" in fdpipe("doctor").out

    def test_everything_is_listed(self) -> None:
        """Models, targets and workers; of one room what each is."""
        assert "digits" in fdpipe("list").out
        assert "accuracy" in fdpipe("list", "metric").out
        assert "cpu" in fdpipe("list", "--json").json["target"]  # type: ignore[operator]
