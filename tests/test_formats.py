"""The harness behind `make formats`: a sample from its making to its row in the page."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.formats import families
from bench.formats.__main__ import main
from bench.formats.conversion import AGREES, FAILED, REFUSED, Outcome, outcome_of
from bench.formats.families import FAMILIES, Family, make, python_of
from bench.formats.make_default import SAMPLES
from bench.formats.page import page
from bench.formats.samples import Made, Samples, read
from fdpipe.plan import Isolation

MADE = Made(
    name="some", format="Some", serialization="file", versions={"some": "1.2"}, trusted=False, runtime="onnxruntime",
    settings={},
)  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The ONNX sample, made."""
    assert SAMPLES.main([str(tmp_path), "onnx_file"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["onnx_file"]
    return tmp_path / "onnx_file"


def test_a_sample_is_converted_and_agrees(folder: Path, home: Path) -> None:
    found = outcome_of(FAMILIES["default"], folder)
    assert (found.result, found.converter, found.where) == (AGREES, "onnx", Isolation.PROCESS)
    assert found.difference is not None
    assert found.difference < 1e-5


def test_a_refusal_and_a_failure_are_rows(folder: Path, home: Path) -> None:
    (folder / "model" / "model.onnx").write_bytes(b"nonsense")
    assert outcome_of(FAMILIES["default"], folder).result == REFUSED
    (folder / "rows.npz").unlink()
    assert outcome_of(FAMILIES["default"], folder).result == FAILED


def test_what_cannot_be_made_says_why(tmp_path: Path) -> None:
    samples = Samples()

    @samples.add("Some", "file", "numpy", "no-such-package", trusted=True, settings={"a": 1})
    def broken(folder: Path) -> dict[str, np.ndarray]:
        raise ImportError("no such library")

    assert samples.main([str(tmp_path)]) == 0
    made = read(tmp_path / "broken")
    assert made == Made(
        name="broken", format="Some", serialization="file", versions={"numpy": np.__version__}, trusted=True,
        runtime="onnxruntime", settings={"a": 1}, failure="could not be made: ImportError: no such library",
    )  # fmt: skip
    assert outcome_of(FAMILIES["default"], tmp_path / "broken").told == made.failure


def test_a_module_that_fails_is_one_row(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(FAMILIES, "odd", Family(name="odd", modules=("no_such_module",)))
    assert main(["odd"]) == 1
    assert "No module named bench.formats.no_such_module" in capsys.readouterr().out


def test_the_default_family_has_no_environment_of_its_own(tmp_path: Path) -> None:
    assert python_of(FAMILIES["default"]) == sys.executable
    (found,) = make(FAMILIES["default"], "make_default", tmp_path / "samples", ["onnx_file"])
    assert json.loads((found / "sample.json").read_text())["failure"] == ""


def test_an_environment_is_built_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed: list[Path] = []

    def install(folder: Path, lines: object) -> None:
        folder.mkdir(parents=True)
        installed.append(folder)

    monkeypatch.setattr(families, "_install", install)
    assert python_of(FAMILIES["paddle"]) == python_of(FAMILIES["paddle"]) == str(installed[0] / "bin" / "python")
    assert len(installed) == 1
    assert FAMILIES["paddle"].isolation is Isolation.VENV


def test_the_page_has_a_row_for_each() -> None:
    agrees = Outcome(
        made=MADE, result=AGREES, where=Isolation.PROCESS, converter="some", difference=2e-7, cosine=0.99999995, seconds=1.25
    )  # fmt: skip
    refused = replace(
        agrees, result=REFUSED, difference=None, cosine=None, told="no /home/me/models/x.bin | <here>\nand " + "a" * 400
    )
    failed = replace(refused, made=replace(MADE, trusted=True), result=FAILED, converter="", seconds=None, told="")
    text = page([agrees, refused, failed])
    lines = text.splitlines()[-3:]
    assert lines[0] == "| Some | file | some 1.2 | some (process) | agrees | 2.0e-07 (cosine 0.9999999) | 1.2 |"
    assert "refused: no …/x.bin \\| &lt;here> and aaa" in lines[1]
    assert "/home/me" not in text
    assert lines[1].endswith("… |  | 1.2 |")
    assert lines[2] == "| Some | file, trusted | some 1.2 | process | failed | – |  |"
    assert "3 models of 1 formats: agrees 1, refused 1, failed 1; 1 formats have a model that agrees." in text
