"""Own converters for skl2onnx, where its own are refused in double precision or wrong on missing values."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

TREES = ("HistGradientBoostingClassifier", "HistGradientBoostingRegressor")

WEIGHTS = ("nodes_values", "nodes_hitrates", "target_weights", "class_weights", "base_values")
"""Attributes of a tree ensemble that are numbers of its input's precision."""


def own_converters() -> Mapping[type, Callable[..., None]]:
    """By the estimator's type, as `convert_sklearn` takes them."""
    from sklearn import ensemble
    from sklearn.impute import SimpleImputer
    from sklearn.preprocessing import PowerTransformer

    return {SimpleImputer: _impute, PowerTransformer: _raise} | {getattr(ensemble, name): _grow for name in TREES}


def _impute(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401 - skl2onnx has no types
    """ONNX's Imputer has float32 only; in float64 it is Where(IsNaN(x), statistic, x)."""
    from onnx import TensorProto
    from skl2onnx.common._registration import get_converter
    from skl2onnx.common.data_types import DoubleTensorType

    imputer, given = operator.raw_operator, operator.inputs
    plain = len(given) == 1 and isinstance(given[0].type, DoubleTensorType) and np.isreal(imputer.missing_values)
    if not plain or not np.isnan(imputer.missing_values) or np.isnan(imputer.statistics_).any():
        get_converter("SklearnSimpleImputer")(scope, operator, container)
        return
    missing, filling = (scope.get_unique_variable_name(name) for name in ("missing", "filling"))
    statistics = imputer.statistics_.astype(np.float64)
    container.add_initializer(filling, TensorProto.DOUBLE, [1, len(statistics)], statistics)
    container.add_node("IsNaN", [given[0].full_name], [missing], name=scope.get_unique_operator_name("IsNaN"), op_version=13)
    container.add_node(
        "Where", [missing, filling, given[0].full_name], [operator.outputs[0].full_name],
        name=scope.get_unique_operator_name("Where"), op_version=9,
    )  # fmt: skip


def _raise(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401 - skl2onnx has no types
    """skl2onnx's own converter of the power transformer, but what is missing stays missing."""
    from skl2onnx.common._registration import get_converter
    from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType

    if not isinstance(operator.inputs[0].type, FloatTensorType | DoubleTensorType):
        get_converter("SklearnPowerTransformer")(scope, operator, container)
        return
    given, target = operator.inputs[0].full_name, operator.outputs[0].full_name
    raised, missing = (scope.get_unique_variable_name(name) for name in ("raised", "missing"))
    get_converter("SklearnPowerTransformer")(scope, operator, _OtherName(container, target, raised))
    container.add_node("IsNaN", [given], [missing], name=scope.get_unique_operator_name("IsNaN"), op_version=13)
    container.add_node("Where", [missing, given, raised], [target], name=scope.get_unique_operator_name("Where"), op_version=9)


def _grow(scope: Any, operator: Any, container: Any) -> None:  # noqa: ANN401 - skl2onnx has no types
    """skl2onnx's own converter, whose trees' attributes onnx does not take as they are."""
    from skl2onnx.common._registration import get_converter

    name = type(operator.raw_operator).__name__
    ensemble = name.replace("HistGradientBoosting", "TreeEnsemble")
    get_converter(f"Sklearn{name}")(scope, operator, _PlainAttributes(container), ensemble, "ai.onnx.ml", 3)


class _OtherName:
    """A container of skl2onnx, in which one tensor gets another name."""

    def __init__(self, container: Any, name: str, other: str) -> None:  # noqa: ANN401 - skl2onnx has no types
        self._container, self._name, self._other = container, name, other

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the container has
        return getattr(self._container, name)

    def add_node(self, kind: str, inputs: Any, outputs: Any, *arguments: Any, **attributes: Any) -> None:  # noqa: ANN401
        """The container's, with the other name among the outputs."""
        names = [outputs] if isinstance(outputs, str) else outputs
        renamed = [self._other if name == self._name else name for name in names]
        self._container.add_node(kind, inputs, renamed, *arguments, **attributes)


class _PlainAttributes:
    """A container of skl2onnx, in which numpy's scalars become Python's, and arrays of float64 stay float64."""

    def __init__(self, container: Any) -> None:  # noqa: ANN401 - skl2onnx has no types
        self._container = container

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the container has
        return getattr(self._container, name)

    def add_node(self, *arguments: Any, **attributes: Any) -> None:  # noqa: ANN401 - as the container's own
        """The container's, with attributes that onnx takes."""
        from onnx import numpy_helper

        found: dict[str, Any] = {}
        for name, value in attributes.items():
            if name in WEIGHTS and isinstance(value, np.ndarray) and value.dtype == np.float64:
                found[f"{name}_as_tensor"] = numpy_helper.from_array(value, f"{name}_as_tensor")
            elif isinstance(value, list):
                found[name] = [_plain(item) for item in value]
            else:
                found[name] = value
        self._container.add_node(*arguments, **found)


def _plain(item: Any) -> Any:  # noqa: ANN401 - a number or a text
    found = item.item() if isinstance(item, np.generic) else item
    return int(found) if isinstance(found, bool) else found
