"""Models of OpenVINO's, for the passes that make them: reading, finding what was made of an ONNX node, writing."""

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fdpipe.errors import FdpipeError, NotApplicable, StageError
from fdpipe.openvino import FAILURES, library, line

Model = Any
"""An openvino.Model, and below nodes and ports of it."""


@contextmanager
def told(what: str) -> Iterator[None]:
    """Turn what OpenVINO and NNCF raise into a `StageError`: a recipe that fails is a trial with a reason."""
    try:
        yield
    except FdpipeError:
        raise
    except _failures() as error:
        raise StageError(f"{what} failed: {line(error)}") from error


LONGEST_CHAIN = 8
"""So many nodes may stand between a constant and the node that it is the weight of."""


def _failures() -> tuple[type[Exception], ...]:
    """NNCF gives its errors no base of their own."""
    nncf = sys.modules.get("nncf.errors")
    own = [item for item in vars(nncf).values() if isinstance(item, type) and issubclass(item, Exception)] if nncf else []
    return (*FAILURES, AttributeError, AssertionError, ArithmeticError, *own)


def read(path: Path) -> Model:
    """The model in an ONNX or XML file; `StageError` for one with operators that OpenVINO has not."""
    with told(f"opening {path.name} with openvino"):
        return library().Core().read_model(str(path))


def write(model: Model, target: Path) -> None:
    """Save it as `target` and, beside it, its weights; the same bytes for the same model.

    OpenVINO numbers what it names by itself, on and on within a process: those nodes are numbered anew.
    """
    for number, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(rf"{node.get_type_name()}_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{number}")
    library().save_model(model, str(target), compress_to_fp16=False)


def operators(path: Path) -> list[str]:
    """The operator of every node, in an order that holds."""
    return [node.get_type_name() for node in read(path).get_ordered_ops()]


def attention_products(model: Model) -> list[str]:
    """The names of the products of two activations; none where there is no softmax, and so no attention."""
    nodes = model.get_ordered_ops()
    if not any(node.get_type_name() == "Softmax" for node in nodes):
        return []
    products = [node for node in nodes if node.get_type_name() == "MatMul" and not any(map(_is_constant, _sources(node)))]
    return [node.get_friendly_name() for node in products]


def made_of(model: Model, outputs: Iterable[str]) -> list[str]:
    """The names of all nodes that were made of the ONNX nodes with these first outputs: the one that has the output's name,
    and those without names of the graph's that lead to it."""
    nodes = [node for node in model.get_ordered_ops() if node.get_type_name() != "Result"]
    named = {name: node for node in nodes for port in node.outputs() for name in port.get_names()}
    found: dict[str, None] = {}
    for output in outputs:
        waiting = [named[output]] if output in named else []  # a constant that OpenVINO has folded has no node
        while waiting:
            node = waiting.pop()
            found[node.get_friendly_name()] = None
            waiting += [one for one in _sources(node) if not _is_named(one) and not _is_constant(one)]
    return list(found)


def ensure_replaces(made: Path, source: Path) -> None:
    """`NotApplicable` where the model made from `source` has not the same inputs and outputs: names, types and axes."""
    if _interface(read(made)) != _interface(read(source)):
        raise NotApplicable("the new model has other inputs or outputs than the one it was made from")


def _interface(model: Model) -> object:
    inputs = [(sorted(port.get_names()), str(port.element_type), str(port.partial_shape)) for port in model.inputs]
    return inputs, [(sorted(port.get_names()), str(port.element_type), len(port.partial_shape)) for port in model.outputs]


def _sources(node: Any) -> list[Any]:  # noqa: ANN401 - openvino's type
    return [port.get_source_output().get_node() for port in node.inputs()]


def _is_named(node: Any) -> bool:  # noqa: ANN401 - openvino's type
    return any(port.get_names() for port in node.outputs()) or node.get_type_name() == "Parameter"


def _is_constant(node: Any) -> bool:  # noqa: ANN401 - openvino's type
    """Whether it is made of constants alone, as a weight that is converted or transposed first."""
    waiting = [node]
    seen: set[str] = set()
    while waiting:
        one = waiting.pop()
        sources = _sources(one)
        if not sources and one.get_type_name() != "Constant":
            return False
        if len(seen) > LONGEST_CHAIN:
            return False
        seen.add(one.get_friendly_name())
        waiting += sources
    return True


def weights_of(path: Path) -> list[str]:
    """The type of every constant, in OpenVINO's words, as i8."""
    nodes = read(path).get_ordered_ops()
    return [node.output(0).element_type.get_type_name() for node in nodes if node.get_type_name() == "Constant"]
