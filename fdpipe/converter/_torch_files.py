"""The files in which torch's modules are registered: which one a model has, and opening it."""

import importlib
import sys
import zipfile
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fdpipe.artifacts import SourceModel
from fdpipe.converter import _pt2
from fdpipe.converter._torch_export import errors, line
from fdpipe.errors import ConversionError, SourceError
from fdpipe.extras import require
from fdpipe.mlmodel import flavour_settings

if TYPE_CHECKING:
    import torch


class Form(StrEnum):
    """The kinds of file."""

    PROGRAM = "pt2"
    TORCHSCRIPT = "TorchScript"
    PICKLE = "pickle"
    STATE = "state dict"


STATE_FILE = "state_dict.pth"
"""What `mlflow.pytorch.save_state_dict` calls its file."""

FIXED = "fdpipe_fixed_axes"

INNER_STATES = ("state_dict", "model_state_dict", "model")
"""Where a checkpoint has the module's own tensors."""


def file_of(model: SourceModel, declared: bool) -> tuple[Form, Path]:
    """The model's file and its form; `declared`: the class of the module is known, so that tensors are enough."""
    if declared and (states := sorted(path for path in model.path.rglob(STATE_FILE) if path.is_file())):
        return Form.STATE, _inside(model, states[0])
    folder = model.path / str(flavour_settings(model.path, "pytorch").get("model_data") or "")
    for name in ("model.pt2", "model.pth"):
        if (folder / name).is_file():
            path = _inside(model, folder / name)
            return (Form.PROGRAM if name == "model.pt2" else Form.STATE if declared else _form_of(path)), path
    raise SourceError(f"{model.ref.name} has neither model.pt2 nor model.pth where its MLmodel says: {folder.name!r}")


def _inside(model: SourceModel, path: Path) -> Path:
    found = path.resolve()
    if not found.is_relative_to(model.path.resolve()):
        raise SourceError(f"{path.name} is not in the folder of {model.ref.name}")
    return found


def _form_of(path: Path) -> Form:
    """TorchScript has its code in the archive; everything else is a pickle, also what is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError):
        return Form.PICKLE
    return Form.TORCHSCRIPT if any(name.startswith("code/") for name in names) else Form.PICKLE


def code_of(model: SourceModel) -> Path | None:
    """The folder with the model's own modules, where it has one."""
    flavours = (flavour_settings(model.path, flavour) for flavour in ("pytorch", "python_function"))
    name = next((str(found["code"]) for found in flavours if found.get("code")), None)
    return None if name is None else model.path / name


def open_module(model: SourceModel, class_name: str, arguments: Mapping[str, Any]) -> "torch.nn.Module":
    """The module in eval mode, on the CPU; `ConversionError` for a file that cannot be opened, or not without running code
    in a form that should hold none."""
    torch = require("torch", extra="torch")
    form, path = file_of(model, bool(class_name))
    if form is Form.PROGRAM:
        return _program(model, path)
    if (code := code_of(model)) is not None and form is not Form.TORCHSCRIPT:
        sys.path.insert(0, str(_inside(model, code)))
    try:
        if form is Form.TORCHSCRIPT:
            module = torch.jit.load(str(path), map_location="cpu")
        elif form is Form.PICKLE:
            module = torch.load(path, map_location="cpu", weights_only=False)
        else:
            module = _filled(model, path, class_name, arguments)
    except _pt2.Suspicious as error:
        raise ConversionError(f"{path.name} is refused: {error}") from error
    except errors() as error:
        raise ConversionError(f"{path.name}, a {form} file, cannot be loaded: {line(error)}") from error
    if not isinstance(module, torch.nn.Module):
        hint = "; for tensors alone, name their class: converter.pytorch.model_class=package.module.Class"
        raise ConversionError(f"{path.name} holds a {type(module).__name__}, not a torch.nn.Module{hint}")
    return module.eval()


def _program(model: SourceModel, path: Path) -> "torch.nn.Module":
    """The program without its checks of sizes: what it can be asked is read off it, and then proven."""
    import inspect

    try:
        program = _pt2.load_program(path, model.ref.name, trusted=model.trusted)
        makes = inspect.signature(program.module).parameters
        module = program.module(**({"check_guards": False} if "check_guards" in makes else {}))
    except errors() as error:
        raise ConversionError(f"{path.name} cannot be loaded: {line(error)}") from error
    module._forward_pre_hooks.clear()
    nodes = {node.name: node for node in program.graph.nodes}
    shapes = [nodes[name].meta["val"].shape for name in program.graph_signature.user_inputs]
    module.meta[FIXED] = [[size if isinstance(size, int) else None for size in shape] for shape in shapes]
    return module


def fixed_axes(module: "torch.nn.Module") -> list[list[int | None]] | None:
    """The sizes that a program was exported for, by input and axis; None for a module that is no program."""
    found: list[list[int | None]] | None = getattr(module, "meta", {}).get(FIXED)
    return found


def _filled(model: SourceModel, path: Path, class_name: str, arguments: Mapping[str, Any]) -> "torch.nn.Module":
    """A new module of the class, with the tensors of the file."""
    import torch

    found = _pt2.tensors_only(path, path.name, trusted=model.trusted)
    while not all(isinstance(value, torch.Tensor) for value in found.values()):
        inner = next((name for name in INNER_STATES if isinstance(found.get(name), Mapping)), None)
        if inner is None:
            raise ValueError(f"it holds no state dict: it has {', '.join(map(str, list(found)[:5]))}")
        found = found[inner]
    module_name, _, name = class_name.rpartition(".")
    kind = getattr(importlib.import_module(module_name), name)
    if not (isinstance(kind, type) and issubclass(kind, torch.nn.Module)):
        raise TypeError(f"{class_name} is no torch.nn.Module")
    module = kind(**arguments)
    module.load_state_dict(dict(found))
    return module
