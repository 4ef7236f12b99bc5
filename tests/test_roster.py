"""The roster: strict about every model.yaml, and naming the file that is wrong."""

from pathlib import Path

import pytest

from fdpipe import roster
from fdpipe.errors import ConfigError

PROJECT = Path(__file__).parent.parent


def write(project: Path, name: str, text: str) -> Path:
    folder = project / "registry" / name
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(text)
    return folder


def test_an_entry_is_read_whole(tmp_path: Path) -> None:
    write(
        tmp_path,
        "digits",
        "name: digits\nalias: best\ndescription: words\ntargets: [cpu, gpu]\nschedule: '0 3 * * *'\n"
        "notify: ['https://example.org/hook']\noverrides:\n  - metric=[accuracy,f1]\n  - gate.max_drop=0.01\n",
    )
    assert roster.read(tmp_path)["digits"] == roster.Entry(
        name="digits",
        alias="best",
        description="words",
        targets=("cpu", "gpu"),
        overrides=("metric=[accuracy,f1]", "gate.max_drop=0.01"),
        schedule="0 3 * * *",
        notify=("https://example.org/hook",),
    )


def test_a_name_is_enough(tmp_path: Path) -> None:
    write(tmp_path, "wine", "name: wine\n")
    entry = roster.read(tmp_path)["wine"]
    assert entry.model == "wine@candidate"
    assert (entry.targets, entry.overrides, entry.schedule) == (("cpu",), (), None)


def test_no_registry_is_an_empty_roster(tmp_path: Path) -> None:
    assert roster.read(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name: [", "is no YAML"),
        ("- name", "must be a mapping"),
        ("", "must be a mapping"),
        ("alias: a\n", "name must be set"),
        ("name: wine\n", "name=wine must be the name of its folder, digits"),
        ("name: digits\nshedule: null\n", "shedule is no setting of Entry: choose from .*did you mean schedule"),
        ("name: digits\noverrides: gate.max_drop=1\n", "overrides must be a list .array., got 'gate.max_drop=1'"),
        ("name: digits\noverrides: [{a: 1}]\n", "overrides must be text"),
        ("name: digits\ntargets: []\n", "targets must name at least one"),
        ("name: digits\nschedule: daily\n", "schedule=daily: schedule must be a cron line of five fields"),
        ("name: digits\nschedule: 5\n", "schedule must be text or null"),
        ("name: digits\nnotify: [me]\n", "'me' is none"),
        ("name: digits\nalias: 'a b'\n", "name and alias must be made of letters"),
        ("name: digits\n1: 2\n", "1 is no setting"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    write(tmp_path, "digits", text)
    with pytest.raises(ConfigError, match=words) as found:
        roster.read(tmp_path)
    assert "registry/digits/model.yaml" in str(found.value)
    assert str(tmp_path) not in str(found.value)
    assert "\n" not in str(found.value)


def test_train_file(tmp_path: Path) -> None:
    folder = write(tmp_path, "digits", "name: digits\n")
    with pytest.raises(ConfigError, match=r"registry/digits/train\.py is missing"):
        roster.train_file(tmp_path, "digits")
    (folder / "train.py").touch()
    assert roster.train_file(tmp_path, "digits") == folder / "train.py"
    with pytest.raises(ConfigError, match=r"'digit' is not in the roster .*choose from digits"):
        roster.train_file(tmp_path, "digit")


def test_the_examples_are_in_order() -> None:
    entries = roster.read(PROJECT)
    assert {"digits", "diabetes"} <= set(entries)
    for name in entries:
        assert entries[name].description
