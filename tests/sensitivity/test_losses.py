"""What 8 bits cost at each node, against numpy and against models in which one node must lose most."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from fdpipe.arrays import Batch
from fdpipe.artifacts import NodeLoss
from fdpipe.errors import StageError
from fdpipe.sensitivity import losses
from fdpipe.sensitivity.eight_bits import rounded, scale_of
from tests import onnx_models
from tests.sensitivity.test_spots import transformer

X = np.random.default_rng(5).normal(size=(32, 16)).astype(np.float32)

Batches = Callable[[], Iterator[Batch]]


def in_fours(array: np.ndarray, name: str = "x") -> Batches:
    return lambda: ({name: array[start : start + 4]} for start in range(0, len(array), 4))


def by_node(found: tuple[NodeLoss, ...]) -> dict[str, NodeLoss]:
    return {one.node: one for one in found}


def held(array: np.ndarray) -> np.ndarray:
    """As uint8 holds it."""
    scale, zero = scale_of(float(array.min()), float(array.max()))
    return (np.clip(np.rint(array / scale) + zero, 0, 255) - zero) * scale


def test_the_ratio_and_the_divergence_are_those_of_numpy(tmp_path: Path) -> None:
    found = by_node(losses(onnx_models.mlp(tmp_path / "model.onnx"), in_fours(X)))
    tensors, weights = onnx_models.mlp_tensors(X), onnx_models.mlp_weights()
    assert set(found) == {"m0", "m1", "m2"}
    for layer, taken in enumerate(("x", "r0", "r1")):
        wanted = tensors[f"m{layer}"]
        noise = held(tensors[taken]) @ rounded(weights[f"w{layer}"], -1) - wanted
        assert found[f"m{layer}"].snr_db == pytest.approx(10 * np.log10(np.sum(wanted**2) / np.sum(noise**2)), abs=0.05)
        last = wanted + noise + weights[f"b{layer}"]
        for after in range(layer + 1, 3):
            last = np.maximum(last, 0) @ weights[f"w{after}"] + weights[f"b{after}"]
        gap = np.linalg.norm(last - tensors["y"]) / np.linalg.norm(tensors["y"])
        assert found[f"m{layer}"].divergence == pytest.approx(gap, rel=0.02)


def test_work_is_the_share_of_all_multiplications(tmp_path: Path) -> None:
    found = by_node(losses(onnx_models.mlp(tmp_path / "model.onnx"), in_fours(X)))
    total = 16 * 64 + 64 * 64 + 64 * 10
    assert {name: one.work for name, one in found.items()} == pytest.approx(
        {"m0": 16 * 64 / total, "m1": 64 * 64 / total, "m2": 64 * 10 / total}
    )


def test_convolutions_and_what_is_between_them(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(8, 3, 8, 8)).astype(np.float32)
    found = by_node(losses(onnx_models.conv(tmp_path / "model.onnx"), in_fours(x)))
    assert set(found) == {"conv0", "conv1", "sum", "mean", "y"}
    first, second, last = 8 * 8 * 8 * 3 * 9, 8 * 4 * 4 * 8 * 9, 8 * 5
    assert found["conv0"].work == pytest.approx(first / (first + second + last))
    assert found["sum"].work == 0
    assert all(20 < one.snr_db < 80 and one.divergence for one in found.values())


def test_the_worst_is_first_and_it_is_the_one_with_an_outlier(tmp_path: Path) -> None:
    """One column of the second layer's input becomes a thousand times as large: of the others, 8 bits keep nothing."""
    path = onnx_models.mlp(tmp_path / "model.onnx")
    model = onnx.load(path)
    arrays = {tensor.name: numpy_helper.to_array(tensor).copy() for tensor in model.graph.initializer}
    arrays["w0"][:, 3] *= 1000
    arrays["w1"][3] /= 1000
    del model.graph.initializer[:]
    model.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in arrays.items())
    onnx.save(model, path)
    found = losses(path, in_fours(X))
    assert found[0].node == "m1"
    assert found[0].snr_db == min(one.snr_db for one in found)
    assert [one.divergence for one in found] == sorted((one.divergence or 0 for one in found), reverse=True)
    assert (found[0].divergence or 0) > 5 * (found[1].divergence or 0)


def test_a_transformer_with_tables_and_a_turned_weight(tmp_path: Path) -> None:
    ids = np.random.default_rng(0).integers(0, 20, size=(8, 5))
    found = by_node(losses(transformer(tmp_path / "model.onnx"), in_fours(ids, "ids")))
    assert set(found) == {"word", "place", "scores", "mixed", "m"}
    assert found["scores"].work == pytest.approx(5 * 5 * 8 / (2 * 5 * 5 * 8 + 5 * 8 * 4))
    assert all(one.divergence is not None and 0 < one.divergence < 0.2 for one in found.values())


def test_weights_beside_the_graph_are_found(tmp_path: Path) -> None:
    inside = losses(onnx_models.mlp(tmp_path / "one" / "model.onnx"), in_fours(X))
    beside = losses(onnx_models.mlp(tmp_path / "two" / "model.onnx", external=True), in_fours(X))
    assert inside == beside


def test_behind_operators_of_other_domains(tmp_path: Path) -> None:
    assert len(losses(onnx_models.mlp(tmp_path / "model.onnx", scaler=True), in_fours(X))) == 3


def test_the_same_answer_again(tmp_path: Path) -> None:
    path = onnx_models.mlp(tmp_path / "model.onnx")
    assert losses(path, in_fours(X)) == losses(path, in_fours(X))


def test_a_large_model_is_asked_about_its_most_doubtful_nodes(tmp_path: Path) -> None:
    """Twelve layers, and work for less than one call: eight are asked, on one batch, those of the least ratio."""
    nodes = [helper.make_node("MatMul", [f"h{layer}", f"w{layer}"], [f"h{layer + 1}"]) for layer in range(12)]
    random = np.random.default_rng(1)
    weights = {f"w{layer}": random.normal(0, 0.25, (16, 16)).astype(np.float32) for layer in range(12)}
    ends = [onnx_models.value(name, TensorProto.FLOAT, "rows", 16) for name in ("h0", "h12")]
    path = onnx_models.save(tmp_path / "model.onnx", nodes, ends[:1], ends[1:], weights)
    found = losses(path, in_fours(X, "h0"), multiplications=1)
    asked, rest = found[:8], found[8:]
    assert len(rest) == 4
    assert all(one.divergence is not None for one in asked)
    assert all(one.divergence is None for one in rest)
    assert max(one.snr_db for one in asked) <= min(one.snr_db for one in rest)
    assert [one.snr_db for one in rest] == sorted(one.snr_db for one in rest)


def test_a_mask_is_no_activation(tmp_path: Path) -> None:
    """The infinite entries of a sum with a mask have no range; the product behind it has one."""
    nodes = [
        helper.make_node("Conv", ["x", "k"], ["c"]),
        helper.make_node("Add", ["c", "mask"], ["masked"]),
        helper.make_node("Softmax", ["masked"], ["p"], axis=-1),
        helper.make_node("MatMul", ["p", "w"], ["y"]),
    ]
    random = np.random.default_rng(2)
    weights = {"k": random.normal(size=(2, 2, 1)).astype(np.float32), "w": random.normal(size=(6, 3)).astype(np.float32)}
    inputs = [onnx_models.value(name, TensorProto.FLOAT, "rows", 2, 6) for name in ("x", "mask")]
    path = onnx_models.save(
        tmp_path / "model.onnx", nodes, inputs, [onnx_models.value("y", TensorProto.FLOAT, "rows", 2, 3)], weights
    )
    mask = np.zeros((4, 2, 6), np.float32)
    mask[:, :, 4:] = np.finfo(np.float32).min
    found = by_node(losses(path, lambda: iter([{"x": random.normal(size=(4, 2, 6)).astype(np.float32), "mask": mask}])))
    assert set(found) == {"c", "y"}
    assert all(np.isfinite(one.snr_db) and one.divergence is not None for one in found.values())


def test_labels_count_by_how_many_change(tmp_path: Path) -> None:
    path = onnx_models.mlp(tmp_path / "model.onnx")
    model = onnx.load(path)
    model.graph.node.append(helper.make_node("ArgMax", ["y"], ["label"], axis=1, keepdims=0))
    model.graph.output.append(helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]))
    del model.graph.output[0]
    onnx.save(model, path)
    found = losses(path, in_fours(X))
    assert all(0 <= (one.divergence or 0) <= 1 for one in found)
    assert found[0].divergence in {np.sqrt(changed / 32) for changed in range(33)}


def test_nothing_to_quantize_is_no_node(tmp_path: Path) -> None:
    assert losses(onnx_models.tree(tmp_path / "model.onnx"), in_fours(X[:, :3])) == ()


def test_rows_that_do_not_fit_are_told(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="looking for what quantization loses failed"):
        losses(onnx_models.mlp(tmp_path / "model.onnx"), in_fours(X[:, :3]))
