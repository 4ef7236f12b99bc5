"""An original in a child process: what it answers, what it cannot do, and what is left of it."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import numpy as np
import psutil
import pytest

from fdpipe import errors
from fdpipe.artifacts import Precision, SourceModel, Task
from fdpipe.converter.onnx import Onnx
from fdpipe.errors import ConversionError, FdpipeError, MissingExtra, OriginalLost, StageError
from fdpipe.isolation import lacking, opened
from fdpipe.isolation.launch import Interpreter, Limits
from fdpipe.isolation.process import Isolated
from fdpipe.plan import Conversion, Isolation
from fdpipe.testing import INPUTS, FakeConverter, HarmfulConverter, answer
from fdpipe.testing.converter import Moment
from tests.isolation.conftest import ROWS, Opening, mentioning
from tests.models import saved_onnx, two_inputs


def test_it_answers_as_it_would_here(opening: Opening, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    with opening(FakeConverter()) as original:
        export = original.export(tmp_path / "export", Precision.FLOAT32)
        answers = [original.predict(ROWS) for _ in range(3)]
    assert (export.path, export.task, export.inputs) == (tmp_path / "export" / "model.onnx", Task.CLASSIFICATION, INPUTS)
    assert export.path.is_file()
    for found in answers:
        np.testing.assert_array_equal(found["probabilities"], answer(ROWS)["probabilities"])


def test_two_exports_lie_apart(opening: Opening, tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    with opening(FakeConverter()) as original:
        for folder in folders:
            folder.mkdir()
            assert original.export(folder, Precision.FLOAT32).path == folder / "model.onnx"


def test_the_versions_are_those_of_the_child(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    model = saved_onnx(tmp_path / "model", two_inputs())
    with opened(Onnx(), model, Conversion(), tmp_path / "scratch") as original:
        assert original.versions == {name: version(name) for name in Onnx.packages}


@pytest.mark.parametrize("name", ["ConversionError", "NotApplicable", "MissingExtra", "SourceError", "ConfigError"])
def test_its_errors_arrive_as_they_are(opening: Opening, name: str) -> None:
    with opening("throw", name) as original:
        with pytest.raises(FdpipeError, match=rf"^a {name} of two lines of which this is the second$") as caught:
            original.predict(ROWS)
        assert type(caught.value) is getattr(errors, name)
        with pytest.raises(FdpipeError, match="two lines"):
            original.predict(ROWS)


@pytest.mark.parametrize("name", ["ValueError", "KeyboardInterrupt", "SystemExit", "RecursionError"])
def test_any_other_error_is_its_type_and_first_line(opening: Opening, name: str) -> None:
    with opening("throw", name, at=Moment.EXPORT) as original:
        with pytest.raises(ConversionError, match=rf"^{name}: a {name} of two lines$"):
            original.export(Path("unused"), Precision.FLOAT32)
        assert "probabilities" in original.predict(ROWS)


def test_it_says_itself_that_it_is_lost_and_is_not_believed(opening: Opening) -> None:
    with opening("throw", "OriginalLost") as original, pytest.raises(ConversionError) as caught:
        original.predict(ROWS)
    assert type(caught.value) is ConversionError


def test_a_failure_to_load_ends_the_child(opening: Opening, tmp_path: Path) -> None:
    with pytest.raises(MissingExtra), opening("throw", "MissingExtra", at=Moment.LOAD):
        pass
    assert mentioning(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("harm", "target", "said"),
    [
        ("crash", "", r"was ended by SIGSEGV while it answered"),
        ("abort", "std::bad_alloc", r"was ended by SIGABRT while it answered; its last lines: .*std::bad_alloc"),
        ("leave", "3", r"ended with exit code 3 while it answered"),
        ("eat", "", r"took more than 1 GiB of memory \(converter.memory_gib\) while it answered"),
        ("eat_together", "12", r"took more than 1 GiB of memory \(converter.memory_gib\) while it answered"),
        ("eat_shared", "12", r"took more than 1 GiB of memory \(converter.memory_gib\) while it answered"),
        ("interrupt", "x" * 100, r"sent what is no answer"),
    ],
)
def test_a_crash_is_one_line(opening: Opening, harm: str, target: str, said: str) -> None:
    with opening(harm, target, memory_gib=1) as original:
        with pytest.raises(OriginalLost, match=rf"^the original {said}") as caught:
            original.predict(ROWS)
        with pytest.raises(OriginalLost) as again:
            original.predict(ROWS)
    assert "\n" not in str(caught.value)
    assert str(again.value) == str(caught.value)


@pytest.mark.parametrize("harm", ["hang", "hold"])
def test_a_hang_is_one_line(opening: Opening, harm: str) -> None:
    with opening(harm) as original:
        original.limits = replace(original.limits, seconds=1.0)
        with pytest.raises(OriginalLost, match=r"^the original took longer than 1 s \(converter.seconds\) while it answered"):
            original.predict(ROWS)


def test_rows_that_nobody_reads(opening: Opening) -> None:
    many = {"x": np.zeros((2**20, 4), np.float32)}
    with opening(FakeConverter()) as original:
        original.limits = replace(original.limits, seconds=1.0)
        worker = psutil.Process(original.process_id).children(recursive=True)[-1]
        worker.suspend()
        with pytest.raises(OriginalLost, match="took longer than 1 s"):
            original.predict(many)


def test_a_crash_while_it_is_exported(opening: Opening, tmp_path: Path) -> None:
    with opening("crash", at=Moment.EXPORT) as original, pytest.raises(OriginalLost, match="SIGSEGV while it was exported"):
        original.export(tmp_path, Precision.FLOAT32)


def test_a_crash_while_it_is_loaded(opening: Opening) -> None:
    with pytest.raises(OriginalLost, match="SIGSEGV while it was loaded"), opening("crash", at=Moment.LOAD):
        pass


def test_the_last_lines_are_few_and_clean(opening: Opening) -> None:
    lines = "\n".join(["gone", "\x1b[31mred\x07", "", "x" * 5000, "end"])
    with opening("abort", lines) as original, pytest.raises(OriginalLost) as caught:
        original.predict(ROWS)
    text = str(caught.value)
    assert text.isprintable()
    assert "gone" not in text
    assert text.endswith(" / end")
    assert len(text) < 700


def test_what_it_prints_does_not_disturb(opening: Opening, capfd: pytest.CaptureFixture[str]) -> None:
    with opening("say", "{}") as original:
        assert "probabilities" in original.predict(ROWS)
    assert capfd.readouterr() == ("", "")


def test_it_writes_nothing_outside(opening: Opening, tmp_path: Path) -> None:
    target = tmp_path / "outside"
    with opening("write", target) as original, pytest.raises(ConversionError, match="PermissionError"):
        original.predict(ROWS)
    assert not target.exists()


def test_it_changes_nothing_outside(opening: Opening, tmp_path: Path) -> None:
    target = tmp_path / "outside"
    target.write_text("kept")
    for harm in ("write", "remove"):
        with opening(harm, target) as original, pytest.raises(ConversionError, match="PermissionError"):
            original.predict(ROWS)
        (tmp_path / "scratch").rename(tmp_path / harm)
    assert target.read_text() == "kept"


def test_its_model_and_its_own_sources_cannot_be_changed(opening: Opening, model: SourceModel, tmp_path: Path) -> None:
    target = model.path / "model.json"
    before = target.read_bytes()
    with opening("write", target) as original, pytest.raises(ConversionError, match="PermissionError"):
        original.predict(ROWS)
    assert target.read_bytes() == before


def test_it_may_write_in_its_home_but_not_too_much(opening: Opening, tmp_path: Path) -> None:
    with opening("write_much", "large") as original:
        original.predict(ROWS)
    assert (tmp_path / "scratch" / "home" / "large").stat().st_size == 64 * 2**20
    (tmp_path / "scratch").rename(tmp_path / "before")
    too_large = pytest.raises(ConversionError, match=r"OSError: .*File too large")
    with opening("write_much", "large", written_gib=1 / 64) as original, too_large:
        original.predict(ROWS)


def test_it_reads_neither_the_state_nor_the_home(
    opening: Opening, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = tmp_path / "user"
    for folder in (home, theirs):
        folder.mkdir()
        (folder / "secret").write_text("secret")
    monkeypatch.setenv("HOME", str(theirs))
    for folder in (home, theirs):
        with opening("read", folder / "secret") as original, pytest.raises(ConversionError, match="PermissionError"):
            original.predict(ROWS)
        (tmp_path / "scratch").rename(tmp_path / f"before-{folder.name}")


def test_it_reads_no_state_that_lies_in_a_folder_of_imports(
    opening: Opening, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / ".fdpipe").mkdir(parents=True)
    for path in (project / "module.py", project / ".fdpipe" / "secret"):
        path.write_text("secret")
    monkeypatch.setenv("FDPIPE_HOME", str(project / ".fdpipe"))
    monkeypatch.syspath_prepend(project)
    with opening("read", project / "module.py") as original:
        assert original.predict(ROWS)["said"][0] == "secret"
    (tmp_path / "scratch").rename(tmp_path / "before")
    with opening("read", project / ".fdpipe" / "secret") as original, pytest.raises(ConversionError, match="PermissionError"):
        original.predict(ROWS)


def test_it_reads_its_own_files_where_they_are_in_the_state(
    opening: Opening, model: SourceModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FDPIPE_HOME", str(tmp_path))
    with opening("read", model.path / "model.json") as original:
        assert "microseconds" in str(original.predict(ROWS)["said"][0])


def test_it_connects_to_nobody(opening: Opening, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        datagrams.bind(("127.0.0.1", 0))
        for harm, server in (("connect", listener), ("send", datagrams)):
            server.settimeout(0.2)
            with opening(harm, f"127.0.0.1:{server.getsockname()[1]}") as original:
                if harm == "connect":
                    with pytest.raises(ConversionError, match="ConnectionRefusedError"):
                        original.predict(ROWS)
                else:
                    original.predict(ROWS)  # to its own loopback, where nobody listens
            with pytest.raises(TimeoutError):
                server.accept() if server is listener else server.recv(10)
            (tmp_path / "scratch").rename(tmp_path / harm)


def test_it_connects_to_no_socket_in_a_file(opening: Opening, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        listener.settimeout(0.2)
        with opening("connect", path) as original, pytest.raises(ConversionError, match="Address family not supported"):
            original.predict(ROWS)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_it_sends_to_no_socket_in_a_file(opening: Opening, tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind(str(path))
        log.setblocking(False)
        with opening("send_to_file", path) as original, pytest.raises(ConversionError, match="Address family not supported"):
            original.predict(ROWS)
        with pytest.raises(BlockingIOError):
            log.recv(10)


def test_it_reads_no_terminal(opening: Opening) -> None:
    ours, theirs = os.openpty()
    try:
        with opening("read", os.ttyname(theirs)) as original, pytest.raises(ConversionError, match="PermissionError"):
            original.predict(ROWS)
    finally:
        os.close(ours)
        os.close(theirs)


def test_it_has_no_secrets(opening: Opening, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_TOKEN", "PREFECT_API_KEY", "HF_TOKEN", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "secret")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with opening("environment") as original:
        names = set(str(original.predict(ROWS)["said"][0]).split())
    assert not any(word in name for name in names for word in ("AWS", "MLFLOW", "PREFECT", "TOKEN", "SSH", "KEY"))
    assert {"PATH", "HOME", "TMPDIR", "OMP_NUM_THREADS", "HF_HUB_OFFLINE", "ORT_DISABLE_TELEMETRY"} <= names


def test_it_reaches_no_other_process(opening: Opening) -> None:
    bystander = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(600)"])
    try:
        with opening("signal_to", bystander.pid) as original, pytest.raises(ConversionError, match="ProcessLookupError"):
            original.predict(ROWS)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_it_reads_no_other_processs_environment(opening: Opening) -> None:
    with opening("read", f"/proc/{os.getpid()}/environ") as original, pytest.raises(ConversionError):
        original.predict(ROWS)


def test_it_mounts_nothing(opening: Opening) -> None:
    with opening("mount", "/dev/shm") as original, pytest.raises(ConversionError, match="not permitted"):
        original.predict(ROWS)


def test_it_has_few_files_open(opening: Opening) -> None:
    with opening("open_many", 5000) as original, pytest.raises(ConversionError, match="Too many open files"):
        original.predict(ROWS)


@pytest.mark.parametrize("then", ["close", "crash"])
def test_no_grandchild_is_left(opening: Opening, then: str) -> None:
    word = f"left-behind-{os.getpid()}-{then}"
    with opening("leave_behind", word) as original:
        original.predict(ROWS)
        assert len(mentioning(word)) == 1
        if then == "crash":
            os.kill(original.process_id, signal.SIGTERM)
            with pytest.raises(OriginalLost):
                original.predict(ROWS)
            assert mentioning(word) == []
    assert mentioning(word) == []


def test_links_are_not_taken(opening: Opening, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir()
    refused = pytest.raises(ConversionError, match="'planted', which is no plain file")
    with opening("plant", "/etc/passwd", at=Moment.EXPORT) as original, refused:
        original.export(tmp_path / "export", Precision.FLOAT32)


def test_many_threads_ask_at_once(opening: Opening) -> None:
    batches = [{"x": np.full((3, 4), number, np.float32)} for number in range(40)]
    with opening(FakeConverter()) as original, ThreadPoolExecutor(8) as threads:
        for batch, found in zip(batches, threads.map(original.predict, batches), strict=True):
            np.testing.assert_array_equal(found["probabilities"], answer(batch)["probabilities"])


def test_it_may_be_closed_while_it_answers_and_twice(opening: Opening) -> None:
    with opening("hang", seconds=None) as original, ThreadPoolExecutor(1) as threads:
        waiting = threads.submit(original.predict, ROWS)
        time.sleep(0.2)
        original.close()
        original.close()
        with pytest.raises(OriginalLost, match="was closed"):
            waiting.result()
        with pytest.raises(OriginalLost, match="was closed"):
            original.predict(ROWS)


def test_it_outlives_the_thread_that_opened_it(opening: Opening) -> None:
    with ThreadPoolExecutor(1) as threads:
        context = opening(FakeConverter())
        original = threads.submit(context.__enter__).result()
    time.sleep(0.2)
    assert "probabilities" in original.predict(ROWS)
    context.__exit__(None, None, None)


def test_it_dies_with_the_pipeline(tmp_path: Path, model: SourceModel) -> None:
    script = textwrap.dedent(f"""
        import sys, time
        from pathlib import Path
        from tests.isolation.test_process import hold_open
        hold_open(Path({str(model.path)!r}), Path({str(tmp_path / "scratch")!r}))
    """)
    (tmp_path / "scratch").mkdir()
    root = str(Path(__file__).parents[2])
    parent = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root}, cwd=tmp_path
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "open\n"
    assert mentioning(str(tmp_path / "scratch"))
    parent.kill()
    parent.wait()
    until(lambda: mentioning(f"{tmp_path / 'scratch'}/home") == [])
    parent.stdout.close()


def hold_open(folder: Path, scratch: Path) -> None:
    """What a pipeline does that is killed meanwhile."""
    from fdpipe.artifacts import ModelRef

    ref = ModelRef(name="tiny", version="1", uri="", digest="")
    model = SourceModel(
        ref=ref, flavour="fake", serialization="fake", inputs=(), outputs=(), columns=False, path=folder, digest=""
    )  # fmt: skip
    with opened(FakeConverter(), model, Conversion(), scratch):
        sys.stdout.write("open\n")
        sys.stdout.flush()
        time.sleep(600)


def until(true: Callable[[], bool]) -> None:
    """Wait for something that takes no time; the test's own limit ends it."""
    while not true():
        time.sleep(0.02)


def test_code_that_is_not_trusted_is_refused_before_anything_starts(model: SourceModel, tmp_path: Path) -> None:
    harmful = HarmfulConverter(harm="write", target=str(tmp_path / "outside"), at=Moment.LOAD, code="a pickle")
    for isolation in Isolation:
        untrusted = pytest.raises(ConversionError, match=r"holds code, a pickle.*source.trust=tiny")
        with untrusted, opened(harmful, model, Conversion(isolation=isolation), tmp_path / "scratch"):
            pass
    assert not (tmp_path / "outside").exists()
    assert not (tmp_path / "scratch").exists()


def test_code_that_is_trusted_runs_confined(model: SourceModel, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    harmful = HarmfulConverter(harm="write", target=str(tmp_path / "outside"), at=Moment.LOAD, code="a pickle")
    denied = pytest.raises(ConversionError, match="PermissionError")
    with denied, opened(harmful, replace(model, trusted=True), Conversion(), tmp_path / "scratch"):
        pass
    assert not (tmp_path / "outside").exists()


def test_in_process_is_for_debugging(model: SourceModel, tmp_path: Path) -> None:
    harmful = HarmfulConverter(harm="write", target=str(tmp_path / "outside"), at=Moment.LOAD, code="a pickle")
    with opened(harmful, replace(model, trusted=True), Conversion(isolation=Isolation.IN_PROCESS), tmp_path) as original:
        assert original.versions == {}
        assert "probabilities" in original.predict(ROWS)
    assert (tmp_path / "outside").exists()


def test_this_machine_can_confine() -> None:
    assert lacking() == ()


def test_a_python_that_is_not_there(model: SourceModel, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    limits = Limits(seconds=60, memory_gib=1, written_gib=1)
    gone = Interpreter(executable=str(tmp_path / "python"), readable=())
    with pytest.raises(StageError, match=r"python cannot be started: No such file or directory"):
        Isolated(FakeConverter(), model, limits, tmp_path / "scratch", gone)


def test_rows_that_do_not_travel_lose_nothing(opening: Opening) -> None:
    with opening(FakeConverter()) as original:
        with pytest.raises(ConversionError, match="the rows cannot be sent to the original: x is of type complex128"):
            original.predict({"x": np.zeros(3, complex)})
        assert "probabilities" in original.predict(ROWS)
