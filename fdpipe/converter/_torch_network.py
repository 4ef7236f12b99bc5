"""What an opened torch module takes and answers, found by asking it with made-up rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fdpipe.artifacts import SourceModel, TensorSpec
from fdpipe.converter._leaves import name_of
from fdpipe.converter._torch_export import doubled, errors, line, title
from fdpipe.errors import ConversionError

if TYPE_CHECKING:
    import torch

ROWS = 3

LENGTHS = (7, 32, 224)
"""Tried in this order for the axes that the signature leaves open, other than the rows: an image needs more than a text."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """An open module. `specs` are its inputs as its users call them, `examples` and `axes` go by the names in its `forward`;
    an output called None has not the rows as its first axis. `fixed_rows` is the batch size that its file was saved with,
    where that is the only one."""

    module: "torch.nn.Module"
    specs: tuple[TensorSpec, ...]
    examples: Mapping[str, "torch.Tensor"]
    axes: Mapping[str, Mapping[int, str]]
    outputs: tuple[str | None, ...]
    fixed_rows: int | None


def described(
    model: SourceModel, module: "torch.nn.Module", specs: tuple[TensorSpec, ...], fixed: Sequence[Sequence[int | None]] | None
) -> Network:
    """The module with these inputs; `fixed` are the sizes that its file allows only. `ConversionError` where it does not
    answer rows that its signature allows."""
    fixed = [[None] * len(spec.shape) for spec in specs] if fixed is None else fixed
    if [len(spec.shape) for spec in specs] != [len(sizes) for sizes in fixed]:
        axes = ", ".join(str(len(sizes)) for sizes in fixed)
        raise ConversionError(f"the signature of {model.ref.name} is not that of its file, whose inputs have {axes} axes")
    keywords = _keywords(module, specs)
    examples, answers = _tried(module, keywords, specs, fixed)
    outputs = _outputs(module, examples, answers)
    if not any(outputs.values()):
        raise fixed_batch(model, fixed[0][0]) if fixed[0][0] else _no_rows(module, answers)
    axes_of = {
        keyword: {axis: word for axis, word in enumerate(_words(spec, sizes)) if word is not None}
        for keyword, spec, sizes in zip(keywords, specs, fixed, strict=True)
    }
    return Network(
        module=module, specs=specs, examples=examples, axes=axes_of, outputs=_named(outputs, model), fixed_rows=fixed[0][0]
    )  # fmt: skip


def fixed_batch(model: SourceModel, rows: int) -> ConversionError:
    """The error for a program that is good for one batch size."""
    return ConversionError(
        f"the batch of {rows} with which {model.ref.name} was exported is built in: save it with an input_example of two rows"
        " or more, or with dynamic_shapes={…: {0: Dim('rows')}}"
    )


def _no_rows(module: "torch.nn.Module", answers: Mapping[str, "torch.Tensor"]) -> ConversionError:
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in answers.items()) or "no tensor"
    return ConversionError(f"{title(module)} answers {shapes} to {ROWS} rows: the first axis of an answer must be the rows")


def _keywords(module: "torch.nn.Module", specs: Sequence[TensorSpec]) -> list[str]:
    """The parameters of `forward` for the inputs: by name where all names are there, or else in order."""
    import inspect

    import torch

    if isinstance(module, torch.jit.ScriptModule):
        names = [argument.name for argument in module.forward.schema.arguments[1:]]
    else:
        kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        names = [name for name, one in inspect.signature(module.forward).parameters.items() if one.kind in kinds]
    wanted = [spec.name for spec in specs]
    if set(wanted) <= set(names) and not isinstance(module, torch.jit.ScriptModule):
        return wanted
    if len(names) < len(wanted):
        raise ConversionError(f"{title(module)} takes {', '.join(names) or 'nothing'}; its signature has {', '.join(wanted)}")
    return names[: len(wanted)]


def _words(spec: TensorSpec, sizes: Sequence[int | None]) -> list[str | None]:
    """The word of each dynamic axis: the rows, and those that neither the signature nor the file fixes."""
    inner = zip(spec.shape[1:], sizes[1:], strict=True)
    return ["rows", *(word if isinstance(word, str) and size is None else None for word, size in inner)]


def _tried(
    module: "torch.nn.Module", keywords: Sequence[str], specs: Sequence[TensorSpec], fixed: Sequence[Sequence[int | None]]
) -> tuple[dict[str, "torch.Tensor"], dict[str, "torch.Tensor"]]:
    """Made-up rows that the module answers, and its answers."""
    for length in LENGTHS:
        pairs = zip(specs, fixed, strict=True)
        examples = dict(zip(keywords, [_example(spec, sizes, length) for spec, sizes in pairs], strict=True))
        try:
            return examples, answers_of(module, examples)
        except errors() as error:
            failure = error
    shapes = ", ".join(f"{name} {tuple(tensor.shape)}" for name, tensor in examples.items())
    raise ConversionError(f"{title(module)} does not answer {shapes}, which its signature allows: {line(failure)}") from failure


def _example(spec: TensorSpec, sizes: Sequence[int | None], length: int) -> "torch.Tensor":
    """Ones where whole numbers are wanted: they are valid as tokens and as a mask."""
    import torch

    inner = zip(spec.shape[1:], sizes[1:], strict=True)
    shape = [ROWS, *(word if isinstance(word, int) else size or length for word, size in inner)]
    kind = getattr(torch, spec.dtype)
    if not kind.is_floating_point:
        return torch.ones(shape, dtype=kind)
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(kind)


def answers_of(module: "torch.nn.Module", inputs: Mapping[str, "torch.Tensor"]) -> dict[str, "torch.Tensor"]:
    """What the module answers, by key or number, in the order in which torch.onnx makes outputs of it."""
    import torch

    with torch.no_grad():
        found = module(*inputs.values()) if isinstance(module, torch.jit.ScriptModule) else module(**inputs)
    leaves = [(path, leaf) for path, leaf in torch.utils._pytree.tree_flatten_with_path(found)[0] if torch.is_tensor(leaf)]
    return {name_of(path): tensor for path, tensor in leaves}


def _outputs(
    module: "torch.nn.Module", examples: Mapping[str, "torch.Tensor"], answers: Mapping[str, "torch.Tensor"]
) -> dict[str, bool]:
    """Each answer's name, and whether it has the rows as its first axis."""
    try:
        twice = answers_of(module, {name: doubled(tensor, [0]) for name, tensor in examples.items()})
    except errors():
        return dict.fromkeys(answers, False)
    return {
        name: tensor.shape[:1] == (ROWS,) and twice[name].shape[:1] == (2 * ROWS,) if name in twice else False
        for name, tensor in answers.items()
    }


def _named(outputs: Mapping[str, bool], model: SourceModel) -> tuple[str | None, ...]:
    """The signature's names where it has one for each, or else the module's own; None for what is not by row."""
    given = [spec.name for spec in model.outputs]
    names = given if len(given) == len(outputs) and len(set(given)) == len(given) and not model.columns else list(outputs)
    taken = {spec.name for spec in model.inputs}
    free = [f"output_{name}" if name in taken else name for name in names]
    return tuple(name if by_row else None for name, by_row in zip(free, outputs.values(), strict=True))
