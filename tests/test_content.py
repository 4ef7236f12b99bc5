"""What identifies a value."""

import hashlib
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

import msgspec
import pytest

from fdpipe.content import file_digest, files_below, fingerprint, from_json, plain, to_json, tree_digest


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "sub").mkdir(parents=True)
    (folder / "a").write_text("one")
    (folder / "sub" / "b").write_text("two")
    return folder


def test_a_files_digest_is_its_sha256(tree: Path) -> None:
    assert file_digest(tree / "a") == hashlib.sha256(b"one").hexdigest() == tree_digest(tree / "a")


def test_a_trees_digest_is_of_names_and_contents(tree: Path) -> None:
    before = tree_digest(tree)
    assert tree_digest(tree.rename(tree.with_name("moved"))) == before
    moved = tree.with_name("moved")
    (moved / "sub" / "b").write_text("three")
    changed = tree_digest(moved)
    (moved / "sub" / "b").rename(moved / "b")
    assert len({before, changed, tree_digest(moved)}) == 3


def test_files_come_in_a_fixed_order(tree: Path) -> None:
    assert [file.relative_to(tree).as_posix() for file in files_below(tree)] == ["a", "sub/b"]


class Colour(Enum):
    RED = "red"


@dataclass(frozen=True, kw_only=True)
class Thing:
    path: Path
    digest: str
    colour: Colour = Colour.RED
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class SameFields:
    path: Path
    digest: str
    colour: Colour = Colour.RED
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Setting:
    path: Path


@dataclass(frozen=True)
class ForItself:
    noise: float

    def plain(self) -> str:
        return "always the same"


def test_where_something_lies_does_not_count_but_what_it_is_does() -> None:
    thing = Thing(path=Path("/here"), digest="abc")
    assert fingerprint(thing) == fingerprint(replace(thing, path=Path("/there")))
    others = [replace(thing, digest="d"), replace(thing, sizes=(2, 1)), SameFields(path=thing.path, digest="abc"), [thing]]
    assert len({fingerprint(item) for item in (thing, *others)}) == 5


def test_a_dataclass_may_answer_for_itself() -> None:
    assert fingerprint(ForItself(0.1)) == fingerprint(ForItself(0.2)) == fingerprint("always the same")


def test_the_order_of_what_a_user_has_chosen_counts() -> None:
    """The first metric may be the one that decides."""
    one, other = ForItself(1), Setting(path=Path("/a"))
    assert fingerprint({"a": one, "b": other}) != fingerprint({"b": other, "a": one})
    assert fingerprint({"a": one, "b": other}) == fingerprint({"a": one, "b": other})


def test_the_order_of_any_other_mapping_does_not_count() -> None:
    assert fingerprint({"a": 1, "b": (2,)}) == fingerprint({"b": [2], "a": 1})
    assert plain({Path("x"): Colour.RED}) == {"x": "red"}


class TestJson:
    def test_there_and_back_in_another_place(self, tmp_path: Path) -> None:
        thing = Thing(path=tmp_path / "store" / "x" / "file", digest="abc")
        data = to_json(thing, tmp_path / "store")
        assert b'"x/file"' in data
        assert from_json(data, Thing, tmp_path / "elsewhere") == replace(thing, path=tmp_path / "elsewhere" / "x" / "file")

    def test_written_in_one_folder_and_read_in_its_later_one(self, tmp_path: Path) -> None:
        scratch, final = tmp_path / "scratch" / "1", tmp_path / "objects" / "key"
        data = to_json(Thing(path=scratch / "file", digest="abc"), tmp_path, moved=(scratch, final))
        assert from_json(data, Thing, tmp_path).path == final / "file"

    def test_a_path_outside_the_root_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="is not in the subpath"):
            to_json(Thing(path=Path("/etc/hostname"), digest=""), tmp_path)

    @pytest.mark.parametrize("place", ["/etc/hostname", "../beside", "model/../../beside"])
    def test_a_path_that_is_read_never_leaves_the_root(self, place: str, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=f"the path '{place}' leads out of the folder"):
            from_json(msgspec.json.encode({"path": place, "digest": ""}), Thing, tmp_path)

    def test_what_is_no_data_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(TypeError, match="object cannot be written as JSON"):
            to_json([object()], tmp_path)
        with pytest.raises(msgspec.ValidationError, match="complex cannot be read from JSON"):
            from_json(b'"1j"', complex, tmp_path)


def test_a_path_without_a_digest_beside_it_counts_by_its_name() -> None:
    assert fingerprint(Setting(path=Path("/a"))) != fingerprint(Setting(path=Path("/b")))
