"""The store's promises, each on the disk, and between real processes."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import pytest

from fdpipe.artifacts import Provenance, WorkerSpec
from fdpipe.content import file_digest
from fdpipe.errors import NotApplicable, StoreError
from fdpipe.progress import Event
from fdpipe.store import FILES, VALUE, LocalStore, locks, stage


@dataclass(frozen=True, kw_only=True)
class Made:
    """What the stages of these tests make."""

    path: Path
    digest: str
    provenance: Provenance | None = None


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A worker with a setting."""

    packages: ClassVar[tuple[str, ...]] = ("msgspec",)

    setting: int = 1


@dataclass
class Count:
    """How often a stage worked; no part of any key."""

    calls: list[str] = field(default_factory=list)

    def plain(self) -> None:
        """Nothing."""


def made(folder: Path, text: str, name: str = "made.txt") -> Made:
    path = folder / name
    path.write_text(text)
    return Made(path=path, digest=file_digest(path))


@stage()
def write(folder: Path, text: str, count: Count, worker: Worker | None = None) -> Made:
    """Writes the text."""
    count.calls.append(text)
    (folder / "beside").mkdir()
    (folder / "beside" / "more.txt").write_text("more")
    return made(folder, text)


@stage(machine_bound=True)
def measure(folder: Path, text: str) -> Made:
    """Depends on the machine."""
    return made(folder, text)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    return LocalStore(tmp_path / "store")


def entry_of(store: LocalStore) -> Path:
    (entry,) = store.entries()
    return store.folder(entry.stage, entry.key)


# --- remembering ------------------------------------------------------------------------------------------------------


def test_the_second_call_reuses_what_the_first_made(store: LocalStore, events: list[Event]) -> None:
    count = Count()
    first = write(store, "hello", count)
    second = write(LocalStore(store.root), "hello", count)
    assert first == second
    assert count.calls == ["hello"]
    assert first.path.read_text() == "hello"
    assert [event.kind for event in events] == ["start", "done", "start", "reused"]


def test_a_result_says_where_it_comes_from(store: LocalStore) -> None:
    found = write(store, "hello", Count(), Worker()).provenance
    assert found is not None
    assert found.stage == "write"
    assert found.key == write.key("hello", Count(), Worker())
    assert set(found.versions) == {"fdpipe", "numpy", "msgspec"}
    assert found.machine is None
    assert measure(store, "hello").provenance.machine  # type: ignore[union-attr]


def test_the_key_changes_with_everything_that_decides_the_result(store: LocalStore) -> None:
    count = Count()
    keys = {
        write.key("hello", count),
        write.key("other", count),
        write.key("hello", count, Worker()),
        write.key("hello", count, Worker(setting=2)),
        measure.key("hello"),
    }
    assert len(keys) == 5
    assert write.key("hello", count) == write.key("hello", count, None), "a default that is written out is the same"
    assert write.key("hello", count) == write.key("hello", Count(calls=["x"]))


def test_the_key_keeps_the_order_of_workers_and_not_that_of_settings() -> None:
    @stage()
    def choose(folder: Path, workers: Mapping[str, Worker], settings: Mapping[str, int]) -> Made:
        return made(folder, next(iter(workers)))

    one, other, settings = Worker(), Worker(setting=2), {"a": 1, "b": 2}
    key = choose.key({"one": one, "other": other}, settings)
    assert key == choose.key({"one": one, "other": other}, {"b": 2, "a": 1})
    assert key != choose.key({"other": other, "one": one}, settings)


def test_a_measurement_of_another_machine_is_not_reused(store: LocalStore) -> None:
    script = """
import os, sys
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))} if sys.argv[1] == "less" else os.sched_getaffinity(0))
from tests.test_store import Count, measure, write
print(measure.key("hello"), write.key("hello", Count()))
"""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("with one core there is no other machine to play")
    here, less = run_python(script, "same").split(), run_python(script, "less").split()
    assert here[0] == measure.key("hello")
    assert here[0] != less[0]
    assert here[1] == less[1]


def test_the_key_changes_with_the_workers_source_and_with_its_packages(tmp_path: Path) -> None:
    """Also where the worker is only named, by an artifact, and for a module that the worker's own module imports."""
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin/__init__.py").touch()
    (tmp_path / "plugin/inner.py").write_text("FACTOR = 1\ndef helper(): return 1\n")
    (tmp_path / "plugin/room.py").write_text(
        "from dataclasses import dataclass\nfrom plugin.inner import helper\n@dataclass(frozen=True)\nclass W:\n"
        "    packages = ('some-package',)\n"
    )
    script = """
from plugin.room import W
from fdpipe.artifacts import WorkerSpec
from tests.test_store import Count, write
print(write.key("a", Count(), W()), write.key("a", Count(), WorkerSpec(room="x", settings={"_target_": "plugin.room.W"})))
"""

    def keys() -> list[str]:
        return run_python(script, path=tmp_path).split()

    seen = [keys()]
    assert keys() == seen[0]
    (tmp_path / "plugin/room.py").open("a").write("# changed\n")
    seen.append(keys())
    (tmp_path / "plugin/inner.py").open("a").write("# changed\n")
    seen.append(keys())
    assert len({first for first, _ in seen}) == 3
    assert len({second for _, second in seen}) == 3
    information = tmp_path / "some_package-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 1.0\n")
    one = keys()[0]
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: some-package\nVersion: 2.0\n")
    assert len({one, keys()[0], seen[-1][0]}) == 3


def test_the_key_changes_with_the_packages_of_the_stage(tmp_path: Path) -> None:
    """Which no worker among its inputs names."""
    script = """
from fdpipe.store import stage
@stage(packages=("some-package",))
def made(folder, text: str) -> str:
    return text
print(made.key("a"))
"""
    information = tmp_path / "some_package-1.0.dist-info"
    information.mkdir()
    keys = []
    for version in ("1.0", "2.0"):
        (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: some-package\nVersion: {version}\n")
        keys.append(run_python(script, path=tmp_path))
    assert keys[0] != keys[1]


def test_a_failure_is_never_remembered(store: LocalStore) -> None:
    outcomes = iter([NotApplicable("not now"), RuntimeError("a bug"), None])

    @stage()
    def sometimes(folder: Path, text: str) -> Made:
        if error := next(outcomes):
            (folder / "half").write_text("half")
            raise error
        return made(folder, text)

    for kind in (NotApplicable, RuntimeError):
        with pytest.raises(kind):
            sometimes(store, "hello")
        assert not store.entries()
        assert not list((store.root / "scratch").glob("*/*"))
    assert sometimes(store, "hello").path.read_text() == "hello"


def test_forget_removes_one_result(store: LocalStore) -> None:
    write(store, "hello", Count())
    write(store, "other", Count())
    write.forget(store, "hello", Count())
    assert not write.is_stored(store, "hello", Count())
    assert write.is_stored(store, "other", Count())
    write.forget(store, "hello", Count())


def test_the_store_can_be_moved(store: LocalStore, tmp_path: Path) -> None:
    write(store, "hello", Count())
    shutil.move(store.root, tmp_path / "elsewhere")
    moved = LocalStore(tmp_path / "elsewhere")
    assert write.is_stored(moved, "hello", Count())
    assert write(moved, "hello", Count()).path.is_relative_to(tmp_path / "elsewhere")


# --- damage -----------------------------------------------------------------------------------------------------------


def change_a_byte(entry: Path) -> None:
    (entry / "made.txt").write_text("hellO")


def lose_a_file(entry: Path) -> None:
    (entry / "beside/more.txt").unlink()


def gain_a_file(entry: Path) -> None:
    (entry / "beside/extra.txt").write_text("extra")


def cut_the_value(entry: Path) -> None:
    (entry / VALUE).write_bytes((entry / VALUE).read_bytes()[:-20])


def cut_the_list(entry: Path) -> None:
    (entry / FILES).write_bytes((entry / FILES).read_bytes()[:-20])


def replace_the_list(entry: Path) -> None:
    (entry / FILES).write_text("5")


def lose_the_list(entry: Path) -> None:
    (entry / FILES).unlink()


def empty_the_entry(entry: Path) -> None:
    shutil.rmtree(entry)
    entry.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        change_a_byte,
        lose_a_file,
        gain_a_file,
        cut_the_value,
        cut_the_list,
        replace_the_list,
        lose_the_list,
        empty_the_entry,
    ],
)
def test_a_damaged_entry_is_found_before_use_and_made_again(store: LocalStore, events: list[Event], damage: object) -> None:
    count = Count()
    sound = write(store, "hello", count)
    damage(entry_of(store))  # type: ignore[operator]
    assert write(store, "hello", count) == sound
    assert count.calls == ["hello", "hello"]
    assert any(event.kind == "note" and "damaged" in event.detail for event in events)
    assert write(store, "hello", count) == sound
    assert len(count.calls) == 2


# --- processes --------------------------------------------------------------------------------------------------------

SLOW = """
import logging, sys, time
from pathlib import Path
from fdpipe.store import LocalStore, stage
from tests.test_store import Made, made

class Tell(logging.Handler):
    def emit(self, record):
        print(record.event.kind, flush=True)

logging.getLogger("fdpipe.progress").setLevel(logging.INFO)
logging.getLogger("fdpipe.progress").addHandler(Tell())

@stage()
def slow(folder: Path, text: str) -> Made:
    with Path(sys.argv[2]).open("a") as log:
        log.write("worked\\n")
    print("working", flush=True)
    time.sleep(float(sys.argv[3]))
    return made(folder, text)

print(slow(LocalStore(Path(sys.argv[1])), "hello").digest)
"""


def test_of_two_processes_the_second_waits_and_the_work_is_done_once(tmp_path: Path) -> None:
    arguments = (str(tmp_path / "store"), str(tmp_path / "log"), "1.5")
    first = start_python(SLOW, *arguments)
    assert first.stdout is not None
    while "working" not in (line := first.stdout.readline()):
        assert line, "the first process ended early"
    second = start_python(SLOW, *arguments)
    outputs = [process.communicate(timeout=60)[0].split() for process in (first, second)]
    assert (tmp_path / "log").read_text() == "worked\n"
    assert outputs[0][-2] == "done"
    assert outputs[1][:3] == ["start", "wait", "reused"]
    assert outputs[0][-1] == outputs[1][-1]


def test_what_a_killed_process_left_is_swept_and_its_lock_is_free(tmp_path: Path) -> None:
    killed = start_python(SLOW, str(tmp_path / "store"), str(tmp_path / "log"), "60")
    assert killed.stdout is not None
    while "working" not in (line := killed.stdout.readline()):
        assert line, "the process ended early"
    assert len(list((tmp_path / "store/scratch").glob("*/slow-*"))) == 1
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    again = start_python(SLOW, str(tmp_path / "store"), str(tmp_path / "log"), "0")
    assert again.communicate(timeout=60)[0].split()[:2] == ["start", "working"]
    assert not list((tmp_path / "store/scratch").glob("*/slow-*"))


def test_the_scratch_of_a_living_process_is_not_swept(store: LocalStore) -> None:
    scratch = store.scratch("write")
    LocalStore(store.root)
    assert scratch.exists()


# --- the disk ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, check=False, capture_output=True).returncode != 0:
        pytest.skip("a file system of 1 MiB can be mounted only by root, and not in every container")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@stage()
def fill(folder: Path, mebibytes: int, hide: bool) -> Made:
    """Writes much; `hide` tells of it in a library's own words."""
    try:
        with (folder / "large").open("wb") as stream:
            for _ in range(mebibytes * 2**10):
                stream.write(bytes(2**10))
    except OSError as error:
        if hide:
            raise NotApplicable("the library failed") from error
        raise
    return made(folder, "hello")


@pytest.mark.parametrize("hide", [False, True])
def test_a_full_disk_is_one_line_and_leaves_the_store_consistent(small_disk: Path, hide: bool) -> None:
    store = LocalStore(small_disk / "store")
    count = Count()
    write(store, "hello", count)
    with pytest.raises(StoreError) as caught:
        fill(store, 4, hide)
    assert "No space left on device" in str(caught.value)
    assert "fdpipe prune" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [entry.stage for entry in store.entries()] == ["write"]
    assert write(store, "hello", count).path.read_text() == "hello"
    assert count.calls == ["hello"]
    assert fill(store, 0, hide).path.read_text() == "hello", "there is room again for what fits"


def test_a_store_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match=r"cannot be written \(Not a directory\)"):
        LocalStore(tmp_path / "file" / "store")


def test_other_failures_of_a_stage_are_not_taken_for_the_disks(store: LocalStore, tmp_path: Path) -> None:
    @stage()
    def reads(folder: Path, path: str) -> Made:
        return made(folder, Path(path).read_text())

    with pytest.raises(FileNotFoundError):
        reads(store, str(tmp_path / "missing"))


# --- the parts --------------------------------------------------------------------------------------------------------


def test_entries_are_listed_with_their_size_the_longest_unused_first(store: LocalStore) -> None:
    write(store, "first", Count())
    write(store, "second" * 100, Count())
    os.utime(store.folder("write", write.key("first", Count())) / FILES, (time.time(), time.time() + 5))
    second, first = store.entries()
    assert second.size_bytes > 600 > first.size_bytes > 0
    facts = json.loads((store.folder("write", first.key) / FILES).read_text())
    assert set(facts["files"]) == {"made.txt", "beside/more.txt", VALUE}


def test_use_is_remembered(store: LocalStore) -> None:
    write(store, "hello", Count())
    os.utime(entry_of(store) / FILES, (1, 1))
    assert store.entries()[0].used == 1
    write(store, "hello", Count())
    assert store.entries()[0].used > time.time() - 60


@pytest.mark.parametrize("damage", [change_a_byte, shutil.rmtree])
def test_an_artifact_may_name_the_files_of_another_entry(store: LocalStore, damage: object) -> None:
    """As an ONNX model that its runtime opens as it is. When that entry is damaged or gone, a result that names it is too."""

    @stage()
    def same(folder: Path, model: Made) -> Made:
        return model

    first = write(store, "hello", Count())
    assert same(store, first).path == first.path
    assert same.is_stored(store, first)
    damage(entry_at(first))  # type: ignore[operator]
    assert not same.is_stored(store, first)
    elsewhere = write(store, "hello", Count(), Worker())
    assert elsewhere.digest == first.digest
    assert same(store, elsewhere).path == elsewhere.path
    assert same(store, elsewhere).path == elsewhere.path


def entry_at(found: Made) -> Path:
    return found.path.parent


def test_a_worker_in_an_artifact_counts_as_its_settings(store: LocalStore) -> None:
    settings = {"_target_": "tests.test_store.Worker", "setting": 1}
    one = write.key("a", Count(), WorkerSpec(room="x", settings=settings))  # type: ignore[arg-type]
    other = write.key("a", Count(), WorkerSpec(room="x", settings=settings | {"setting": 2}))  # type: ignore[arg-type]
    assert one != other


def start_python(script: str, *arguments: str, path: Path = Path()) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ | {"PYTHONPATH": str(path.absolute())},
    )


def run_python(script: str, *arguments: str, path: Path = Path()) -> str:
    process = start_python(script, *arguments, path=path)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return output


def test_two_that_look_at_a_lock_do_not_see_each_other(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch()
    with lock.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not locks.is_held(lock)
    holder = locks.acquire(lock)
    assert locks.is_held(lock)
    os.close(holder)
    assert not locks.is_held(lock)
