"""Pruning takes the longest unused first and never what is protected or in use."""

import os
import time
from pathlib import Path

import pytest

from fdpipe.artifacts import Answers
from fdpipe.content import file_digest
from fdpipe.store import FILES, LocalStore, stage
from fdpipe.store.prune import prune


@stage()
def produce(folder: Path, name: str) -> Answers:
    """10 kB."""
    path = folder / "answers.npz"
    path.write_text(name * 10_000)
    return Answers(path=path, digest=file_digest(path))


def age(store: LocalStore, name: str, days: int) -> Path:
    folder = store.folder("produce", produce.key(name))
    then = time.time() - days * 86400
    os.utime(folder / FILES, (then, then))
    return folder


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    """Entries a, b and c, unused for 3, 2 and 1 days."""
    found = LocalStore(tmp_path / "store")
    for days, name in enumerate("cba", start=1):
        produce(found, name)
        age(found, name, days)
    return found


def left(store: LocalStore) -> str:
    return "".join(name for name in "abc" if produce.is_stored(store, name))


def test_without_a_bound_nothing_goes(store: LocalStore) -> None:
    assert prune(store) == []
    assert left(store) == "abc"


def test_the_longest_unused_go_first(store: LocalStore) -> None:
    removed = prune(store, max_bytes=25_000)
    assert [entry.key for entry in removed] == [produce.key("a")]
    assert left(store) == "bc"


def test_what_is_old_goes(store: LocalStore) -> None:
    assert len(prune(store, older_than_s=1.5 * 86400)) == 2
    assert left(store) == "c"


def test_what_is_protected_stays(store: LocalStore) -> None:
    kept = produce(store, "a")
    age(store, "a", 3)
    prune(store, [kept], max_bytes=0)
    assert left(store) == "a"
    assert kept.path.exists()


def test_what_a_run_under_way_has_used_stays(store: LocalStore) -> None:
    other = LocalStore(store.root)
    produce(other, "b")
    prune(store, max_bytes=0)
    assert left(store) == "b"
    del other
    prune(store, max_bytes=0)
    assert left(store) == ""


def test_damaged_entries_go_first(store: LocalStore) -> None:
    (store.folder("produce", produce.key("c")) / FILES).unlink()
    removed = prune(store, older_than_s=10 * 86400)
    assert [entry.key for entry in removed] == [produce.key("c")]


def test_what_was_found_after_the_entries_were_listed_stays(store: LocalStore) -> None:
    listed = {entry.key: entry for entry in store.entries()}
    entry = listed[produce.key("a")]
    assert left(LocalStore(store.root)) == "abc"
    assert not store.discard_unused(entry.stage, entry.key, entry.used)
    assert left(store) == "abc"
    assert store.discard_unused(entry.stage, entry.key, float("inf"))
    assert left(store) == "bc"
