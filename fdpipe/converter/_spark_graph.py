"""The graphs that onnxmltools 1.16 makes of Spark's pipelines, put right and given our outputs."""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto


def repair(made: "ModelProto", *, multinomial: bool) -> None:
    """Change in place what is written otherwise than ONNX has it, or than Spark computes it; `multinomial` says that the
    model is a logistic regression of all classes at once."""
    from onnx import AttributeProto, helper

    _one_opset(made)
    for node in made.graph.node:
        for attribute in node.attribute:
            if multinomial and attribute.name == "post_transform" and node.op_type == "LinearClassifier":
                attribute.CopyFrom(helper.make_attribute("post_transform", "SOFTMAX"))  # not each class against the rest
            if node.op_type == "Scaler" and attribute.type == AttributeProto.FLOATS:
                # Spark takes 0 where a column does not vary
                attribute.floats[:] = [figure if math.isfinite(figure) else 0.0 for figure in attribute.floats]
    _floats_beside_floats(made)


def _one_opset(made: "ModelProto") -> None:
    """ONNX's own operators go by two names, of which checker and runtimes know one."""
    from onnx import helper

    versions = {one.domain: one.version for one in made.opset_import}
    versions[""] = max(versions.pop("ai.onnx", 0), versions.get("", 0), 13)
    del made.opset_import[:]
    made.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in sorted(versions.items()))
    for node in made.graph.node:
        node.domain = "" if node.domain == "ai.onnx" else node.domain


def _floats_beside_floats(made: "ModelProto") -> None:
    """The index of a string is a whole number, which cannot stand in one tensor with floats."""
    from onnx import TensorProto, helper

    whole = {name for node in made.graph.node if node.op_type == "LabelEncoder" for name in node.output}
    found: list[NodeProto] = []
    cast: set[str] = set()
    for node in made.graph.node:
        for place, name in enumerate(node.input):
            if node.op_type == "Concat" and name in whole:
                node.input[place] = f"{name}__float"
                if name not in cast:
                    found.append(helper.make_node("Cast", [name], [f"{name}__float"], to=TensorProto.FLOAT))
                    cast.add(name)
        found.append(node)
    kept = [type(node).FromString(node.SerializeToString()) for node in found]
    del made.graph.node[:]
    made.graph.node.extend(kept)


def keep(made: "ModelProto", answers: Mapping[str, str]) -> None:
    """The answers alone as outputs: labels one a row, values in a column; `answers` are our names by the columns'."""
    from onnx import TensorProto, helper

    outputs = {value.name: value.type.tensor_type.elem_type for value in made.graph.output}
    if lacking := [column for column in answers if column not in outputs]:
        raise ValueError(f"it has no output {lacking[0]}")
    forms: dict[str, tuple[int, list[int], list[str | int | None]]] = {
        "label": (TensorProto.INT64, [-1], ["rows"]),
        "value": (TensorProto.FLOAT, [-1, 1], ["rows", 1]),
    }
    del made.graph.output[:]
    for column, name in answers.items():
        kind, shape, axes = forms.get(name, (outputs[column], [], ["rows", None]))
        if shape:
            for node in made.graph.node:
                node.output[:] = [f"{column}__raw" if found == column else found for found in node.output]
                node.input[:] = [f"{column}__raw" if found == column else found for found in node.input]
            made.graph.initializer.append(helper.make_tensor(f"{column}__shape", TensorProto.INT64, [len(shape)], shape))
            made.graph.node.append(helper.make_node("Cast", [f"{column}__raw"], [f"{column}__cast"], to=kind))
            made.graph.node.append(helper.make_node("Reshape", [f"{column}__cast", f"{column}__shape"], [column]))
        made.graph.output.append(helper.make_tensor_value_info(column, kind, axes))
