"""The law of three rooms: conf/<room>/, fdpipe/<room>/ and tests/<room>/ bear the same word, and a worker is a file in each."""

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from fdpipe import config, workers
from fdpipe.config.catalog import GROUPS
from fdpipe.plan import Plan
from fdpipe.workers import ROOMS, TARGET
from tests.contracts.settings import BESIDE

PROJECT = Path(__file__).parent.parent
CONF = PROJECT / "conf"
FILES = sorted(CONF.rglob("*.yaml"))
WORKERS = [path for room in ROOMS for path in sorted((CONF / room).glob("*.yaml"))]
IN_MEMORY = {"fdpipe.dataset.arrays.Arrays"}
"""Workers that hold what no file can say; they are for the Python API."""


def name_of(path: Path) -> str:
    """A file's name for a test's own."""
    return path.relative_to(CONF).with_suffix("").as_posix()


def targets(node: object) -> Iterator[dict[str, Any]]:
    """Every mapping with a `_target_` inside."""
    if isinstance(node, dict):
        if TARGET in node:
            yield node
        for item in node.values():
            yield from targets(item)


def classes(room: str) -> Iterator[type]:
    """Every worker of a room's folder."""
    for path in sorted((PROJECT / "fdpipe" / room).glob("*.py")):
        module = importlib.import_module(f"fdpipe.{room}.{path.stem}".removesuffix(".__init__"))
        for kind in vars(module).values():
            if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__ and _has_all(kind, room):
                yield kind


def _has_all(kind: type, room: str) -> bool:
    members = {name for name in (*vars(ROOMS[room]), *ROOMS[room].__annotations__) if not name.startswith("_")}
    return all(hasattr(kind, name) for name in members)


def imported(module: str) -> Iterator[str]:
    """What a module imports, functions included."""
    for node in ast.walk(ast.parse(Path(importlib.import_module(module).__file__ or "").read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (str(node.module), *(f"{node.module}.{one.name}" for one in node.names))


@pytest.mark.parametrize("room", ROOMS)
def test_workers_never_import_each_other(room: str) -> None:
    modules = {kind.__module__ for kind in classes(room)}
    assert {module: sorted(modules & {*imported(module)} - {module}) for module in modules} == {one: [] for one in modules}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_has_its_three_folders_and_a_contract(room: str) -> None:
    assert list((CONF / room).glob("*.yaml"))
    assert (PROJECT / "fdpipe" / room / "__init__.py").read_text().startswith('"""')
    assert list((PROJECT / "tests" / room).glob("test_*.py"))
    assert (PROJECT / "tests" / "contracts" / f"{room}.py").is_file()


def test_there_is_no_other_room() -> None:
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == set(GROUPS)


@pytest.mark.parametrize("room", ROOMS)
def test_each_worker_has_its_three_files(room: str) -> None:
    named = {found[TARGET] for path in (CONF / room).glob("*.yaml") for found in targets(yaml.safe_load(path.read_text()))}
    there = {f"{kind.__module__}.{kind.__qualname__}" for kind in classes(room)}
    assert there
    assert there - named <= IN_MEMORY
    assert named <= there
    for kind in classes(room):
        name = kind.__module__.rpartition(".")[2]
        assert (PROJECT / "tests" / room / f"test_{name}.py").is_file()


@pytest.mark.parametrize("path", WORKERS, ids=name_of)
def test_a_file_names_one_worker_of_its_room_and_all_its_settings(path: Path) -> None:
    room = path.parent.name
    (found,) = targets(yaml.safe_load(path.read_text()))
    assert found[TARGET].startswith(f"fdpipe.{room}.")
    settings = {item.name for item in fields(workers.worker_class(room, found[TARGET]))}
    assert set(found) - {TARGET, *BESIDE.get(room, ())} == settings


@pytest.mark.parametrize("path", sorted((CONF / "gate").glob("*.yaml")), ids=name_of)
def test_a_check_stands_in_the_gate_under_its_files_name(path: Path, tmp_path: Path) -> None:
    """So that `~gate=name` leaves out what `gate=[name]` brings."""
    name = path.stem
    assert [key for key, node in yaml.safe_load(path.read_text()).items() if isinstance(node, dict)] == [name]
    beside = chosen("gate", name, path)[1:]
    assert list(load(tmp_path, f"gate=[{name}]", *beside).gate) == [name]
    default = load(tmp_path, *beside)
    assert name in default.gate
    assert list(load(tmp_path, f"~gate={name}", *beside).gate) == [key for key in default.gate if key != name]


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_each_setting_is_explained(path: Path) -> None:
    """A comment on the line of a setting, or on the line above it."""
    lines = path.read_text().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        setting = re.fullmatch(r"\s*(\w+):\s*([^#]*?)\s*", line)
        if (
            setting
            and setting[2]
            and setting[1] != TARGET
            and "${" not in setting[2]
            and path.parent.name not in ("target", "recipe")
        ):
            assert above.lstrip().startswith("#"), line


@pytest.mark.parametrize("group", [group for group in GROUPS if group != "gate"])
def test_a_list_group_says_its_package(group: str) -> None:
    several = {"converter", "processor", "runtime", "recipe", "metric", "monitor", "slicer", "corruption"}
    for path in (CONF / group).glob("*.yaml"):
        first = path.read_text().partition("\n")[0]
        wanted = f"# @package {group}.{path.stem}" if group in several else "# @package _global_" if group == "target" else None
        assert first == wanted if wanted else "@package" not in first, path


def load(tmp_path: Path, *overrides: str) -> Plan:
    """A plan in an empty project."""
    return config.load(["model=digits@candidate", *overrides], project=tmp_path)


@pytest.mark.parametrize("path", sorted((CONF / "target").glob("*.yaml")), ids=name_of)
def test_every_target_composes(path: Path, tmp_path: Path) -> None:
    plan = load(tmp_path, f"+target={path.stem}")
    assert plan.target.name == path.stem
    assert plan.target.description
    assert Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("path", [path for path in FILES if path.parent != CONF], ids=name_of)
def test_every_file_can_be_chosen(path: Path, tmp_path: Path) -> None:
    """Whichever file is chosen, what it describes is in the plan."""
    group, name = path.parent.name, path.stem
    plan = load(tmp_path, *chosen(group, name, path))
    wanted = {found[TARGET] for found in targets(yaml.safe_load(path.read_text()))}
    assert wanted <= {found[TARGET] for found in targets_of(plan.to_dict())}
    assert Plan.from_json(plan.to_json()) == plan


def chosen(group: str, name: str, path: Path) -> list[str]:
    """The overrides that choose a file."""
    if group == "dataset":
        missing = [key for key, value in yaml.safe_load(path.read_text()).items() if value == "???"]
        return [f"dataset@data.evaluation={name}", *(f"data.evaluation.{key}=rows" for key in missing)]
    if group in ("passes", "calibrator"):
        slots = {"passes": f"recipe.int8_static.quantizer={name}", "calibrator": f"recipe.int8_static.calibrator={name}"}
        return [slots[group]]
    if group == "runtime":
        return [f"runtime=[{name}]", f"target.runtimes=[{name}]"]
    beside = {"slices": ["slicer=by_label"], "robustness": ["corruption=noise"]}.get(name, []) if group == "gate" else []
    return [f"{group}={name}", *beside]


def targets_of(node: object) -> Iterator[dict[str, Any]]:
    """Like `targets`, of a written plan, which has tuples."""
    if isinstance(node, list | tuple):
        for item in node:
            yield from targets_of(item)
    elif isinstance(node, dict):
        yield from ([node] if TARGET in node else [])
        for item in node.values():
            yield from targets_of(item)


def test_every_default_is_among_the_choices() -> None:
    defaults = yaml.safe_load((CONF / "config.yaml").read_text())["defaults"]
    for item in (found for found in defaults if isinstance(found, dict)):
        for key, value in item.items():
            names = value if isinstance(value, list) else [value] if value else []
            assert set(names) <= {choice.name for choice in config.options(key.partition("@")[0])}


def test_the_examples_compose() -> None:
    for name in ("digits", "breast_cancer", "diabetes"):
        for target in ("cpu", "gpu"):
            assert config.load([f"model={name}@candidate", f"+target={target}"], project=PROJECT).model_name == name
