"""Workers as data: what may be built, how a wrong setting is told, and both ways between a worker and its settings."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from fdpipe import __version__, workers
from fdpipe.artifacts import WorkerSpec
from fdpipe.errors import ConfigError
from fdpipe.metric.accuracy import Accuracy
from fdpipe.testing import FakeMetric, FakeSource
from fdpipe.workers import TARGET

ACCURACY = "fdpipe.metric.accuracy.Accuracy"


class Drop(StrEnum):
    ABSOLUTE = "absolute"
    RELATIVE = "relative"


@dataclass(frozen=True, kw_only=True)
class Example:
    packages: ClassVar[tuple[str, ...]] = ()

    number: float
    whole: int = 1
    drop: Drop = Drop.ABSOLUTE
    maybe: Literal["a", "b"] | None = None
    names: tuple[str, ...] = ()
    weights: Mapping[str, float] = field(default_factory=dict)
    path: Path = Path()

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ValueError("number must be above 0")
        if self.whole == 7:
            raise ValueError("seven is not liked")


def convert(**values: Any) -> Example:  # noqa: ANN401 - any setting
    return workers.convert(Example, values, lambda setting: f"example.{setting}".removesuffix("."))


def test_types_are_converted() -> None:
    found = convert(number=1, drop="relative", maybe="b", names=["x", "y"], weights={"x": 2}, path="a/b")
    assert found == Example(number=1.0, drop=Drop.RELATIVE, maybe="b", names=("x", "y"), weights={"x": 2.0}, path=Path("a/b"))


@pytest.mark.parametrize(
    ("values", "line"),
    [
        ({}, "example.number must be set: Example needs it"),
        ({"number": "abc"}, "example.number must be a number (float), got 'abc'"),
        ({"number": True}, "example.number must be a number (float), got True"),
        ({"number": None}, "example.number must be a number (float), got None"),
        ({"number": float("inf")}, "example.number must be a finite number, got inf"),
        ({"number": -1.0}, "example.number=-1.0: number must be above 0"),
        ({"number": 1.0, "whole": 7}, "example: seven is not liked"),
        ({"number": 1.0, "whole": 1.5}, "example.whole must be a whole number (int), got 1.5"),
        ({"number": 1.0, "drop": "both"}, "example.drop must be one of absolute, relative, got 'both'"),
        ({"number": 1.0, "names": "x"}, "example.names must be a list (array), got 'x'"),
        ({"number": 1.0, "names": [1]}, "example.names must be text (str), got [1]"),
        ({"number": 1.0, "weights": {"x": "y"}}, "example.weights must be a number (float), got {'x': 'y'}"),
        ({"number": 1.0, "path": 3}, "example.path must be a path (path), got 3"),
        ({"number": 1.0, "packages": ["x"]}, "example.packages is no setting of Example: choose from drop, maybe, names"),
        ({"number": 1.0, "wole": 2}, "example.wole is no setting of Example: choose from"),
        ({"number": 1.0, "wole": 2}, "(did you mean whole?)"),
    ],
)
def test_a_wrong_setting_is_told_in_one_line(values: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as found:
        convert(**values)
    assert line in str(found.value)
    assert "\n" not in str(found.value)


def test_the_choices_of_an_optional_word() -> None:
    with pytest.raises(ConfigError, match="maybe must be one of a, b, got 'c'"):
        convert(number=1.0, maybe="c")


@pytest.mark.parametrize(
    ("room", "target", "words"),
    [
        ("metric", "os.system", r"_target_ 'os\.system' is not allowed in metric: it must begin with fdpipe\.metric\."),
        ("metric", None, "_target_ 'None' is not allowed"),
        ("metric", "fdpipe.metricx.Mine", "is not allowed in metric"),
        ("metric", "fdpipe.source.mlflow.Mlflow", "is not allowed in metric"),
        ("metric", "fdpipe.metric.nosuch.Mine", "cannot be loaded: ModuleNotFoundError"),
        ("metric", "fdpipe.metric.accuracy.Nosuch", "cannot be loaded: AttributeError"),
        ("metric", "fdpipe.metric.accuracy.", "cannot be loaded"),
        ("metric", "fdpipe.metric.", "cannot be loaded"),
        ("metric", "fdpipe.metric.accuracy.__name__", "is no worker"),
        ("metric", "fdpipe.metric.accuracy.np", "is no worker"),
        ("metric", "fdpipe.testing.source.FakeSource", "is not allowed in metric"),
        ("processor", "fdpipe.processor.tabular.SourceModel", "is no worker"),
        ("stages", "fdpipe.stages.package.ReleaseOrder", "there is no room 'stages': choose from calibrator, "),
    ],
)
def test_what_a_target_may_not_name(room: str, target: str | None, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        workers.build(room, {TARGET: target})


def test_what_lacks_a_method_of_its_room_is_no_worker() -> None:
    with pytest.raises(ConfigError, match=r"Column has not all that fdpipe[.]interfaces[.]Processor asks for"):
        workers.build("processor", {TARGET: "fdpipe.processor.tabular.Column", "name": "a", "dtype": "str", "tensor": "b"})


@pytest.mark.parametrize("worker", [Accuracy(), FakeSource(versions=3, published=Path("a/b"))])
def test_settings_and_back(worker: object) -> None:
    room = workers.room_of(worker)
    assert room is not None
    spec = workers.spec(room, worker)
    assert spec.settings[TARGET].endswith(type(worker).__name__)
    assert workers.build_spec(spec) == worker


def test_a_spec_with_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"metric\.x is no setting of Accuracy"):
        workers.build_spec(WorkerSpec(room="metric", settings={TARGET: ACCURACY, "x": 1}))


def test_room_of() -> None:
    assert workers.room_of(Accuracy()) == "metric"
    assert workers.room_of(FakeMetric()) == "metric"
    assert workers.room_of(Example(number=1.0)) is None


def test_versions_and_trust_begin_with_fdpipe() -> None:
    assert workers.versions()["fdpipe"] == __version__
    assert workers.trusted_packages()[0] == "fdpipe"
