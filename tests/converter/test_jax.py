"""JAX → ONNX. Run where JAX is: its environment is no part of the default one (see docs/development.md)."""

from __future__ import annotations  # a pickle by value does not bring what only annotations name

import functools
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.pyfunc import PythonModel
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.datasets import load_breast_cancer, load_digits

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter.jax import Jax
from fdpipe.errors import ConversionError, NotApplicable
from fdpipe.isolation import opened, refuse_code
from fdpipe.mlmodel import describe
from fdpipe.plan import Conversion, Isolation
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of

IMAGES = (load_digits().images[..., None] / 16).astype(np.float32)
DIGITS = load_digits().target
TABLE = load_breast_cancer(as_frame=True)

UV = shutil.which("uv") or Path(sys.executable).with_name("uv").exists()

WHY = "JAX is in an environment of its own: see `make formats`"


needs_jax = pytest.mark.skipif(find_spec("jax2onnx") is None or find_spec("flax") is None, reason=WHY)


def convolution(parameters: Any, image: Any) -> Any:  # noqa: ANN401 - JAX's arrays
    """A convolutional network in Flax's linen."""
    from flax import linen

    class Network(linen.Module):  # type: ignore[misc]
        @linen.compact  # type: ignore[untyped-decorator]
        def __call__(self, found: Any) -> Any:  # noqa: ANN401 - JAX's arrays
            found = linen.relu(linen.Conv(8, (3, 3), strides=2)(found))
            return linen.softmax(linen.Dense(10)(found.reshape((found.shape[0], -1))))

    network = Network()
    return network.init(image, IMAGES[:1]) if parameters is None else network.apply(parameters, image)


@functools.cache
def trained() -> Any:  # noqa: ANN401 - a tree of arrays
    """Parameters that have learnt digits."""
    import jax
    import jax.numpy as jnp

    parameters = convolution(None, jax.random.key(0))

    def loss(parameters: Any) -> Any:  # noqa: ANN401 - JAX's arrays
        return -jnp.log(convolution(parameters, IMAGES)[jnp.arange(len(DIGITS)), DIGITS]).mean()

    step = jax.jit(lambda found: jax.tree.map(lambda one, slope: one - 0.5 * slope, found, jax.grad(loss)(found)))
    for _ in range(60):
        parameters = step(parameters)
    return jax.tree.map(np.asarray, parameters)


class Holder(PythonModel):  # type: ignore[misc]
    """What teams register: a function with its parameters."""

    def __init__(self, make: Callable[[], Callable[..., Any]]) -> None:
        self.make = make

    def jax_function(self) -> Callable[..., Any]:
        """For fdpipe."""
        return self.make()

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401 - MLflow's own types
        """For MLflow."""
        return np.asarray(self.make()(model_input))


def saved(folder: Path, model: Any, signature: ModelSignature | None, **settings: Any) -> SourceModel:  # noqa: ANN401
    """The PythonModel in MLflow's python_function flavour."""
    import cloudpickle
    import mlflow.pyfunc

    import tests.converter.test_jax as here

    cloudpickle.register_pickle_by_value(here)
    settings.setdefault("pip_requirements", ["jax", "flax"])
    mlflow.pyfunc.save_model(str(folder), python_model=model, signature=signature, **settings)
    return describe(ref_of(folder), folder)


def images(folder: Path, **settings: Any) -> SourceModel:  # noqa: ANN401
    parameters = trained()
    return saved(folder, Holder(lambda: lambda image: convolution(parameters, image)), infer_signature(IMAGES), **settings)


def compared(model: SourceModel, features: Batch, folder: Path) -> dict[str, np.ndarray]:
    """What both answer."""
    export = exported(Jax(), model, folder)
    given = {spec.name: np.asarray(features[spec.name], spec.dtype) for spec in export.inputs}
    original, copy = answers(Jax(), model, features), ask(export.path, given)
    assert list(original) == list(copy)
    for name, array in original.items():
        assert array.shape == copy[name].shape
        np.testing.assert_allclose(array, copy[name], rtol=1e-4, atol=1e-5)
    return copy


@needs_jax
class TestJax(ConverterContract):
    @pytest.fixture
    def converter(self) -> Jax:
        return Jax()

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        return images(tmp_path / "model")

    @pytest.fixture
    def batch(self) -> Batch:
        return {"input": IMAGES[:50]}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "jax") == Jax()


@needs_jax
def test_it_is_right_about_digits(tmp_path: Path) -> None:
    assert (compared(images(tmp_path / "model"), {"input": IMAGES}, tmp_path)["output"].argmax(1) == DIGITS).mean() > 0.8


@needs_jax
def test_a_flax_nnx_module(tmp_path: Path) -> None:
    def module() -> Any:  # noqa: ANN401 - a module
        from flax import nnx

        class Network(nnx.Module):  # type: ignore[misc]
            def __init__(self) -> None:
                self.first = nnx.Linear(30, 8, rngs=nnx.Rngs(0))
                self.norm = nnx.LayerNorm(8, rngs=nnx.Rngs(0))
                self.last = nnx.Linear(8, 2, rngs=nnx.Rngs(1))

            def __call__(self, found: Any) -> Any:  # noqa: ANN401 - JAX's arrays
                return self.last(nnx.gelu(self.norm(self.first(found))))

        return Network()

    features = TABLE.data.to_numpy(np.float32)
    compared(saved(tmp_path / "model", Holder(module), infer_signature(features)), {"input": features}, tmp_path)


@needs_jax
def test_several_inputs_of_any_length_and_several_answers(tmp_path: Path) -> None:
    table = np.random.default_rng(0).normal(size=(17, 8)).astype(np.float32)

    def function(tokens: Any, mask: Any) -> Any:  # noqa: ANN401 - JAX's arrays
        import jax.numpy as jnp

        weights = mask.astype(jnp.float32)[..., None]
        pooled = (jnp.asarray(table)[tokens] * weights).sum(1) / weights.sum(1)
        return {"pooled": pooled, "length": mask.sum(1), "table": jnp.asarray(table) * 2}

    whole = np.dtype(np.int64)
    signature = ModelSignature(inputs=Schema([TensorSpec(whole, (-1, -1), "the tokens"), TensorSpec(whole, (-1, -1), "mask")]))
    model = saved(tmp_path / "model", Holder(lambda: function), signature)
    features = {"the tokens": load_digits().data.astype(np.int64)[:9, :12], "mask": np.ones((9, 12), np.int64)}
    assert set(compared(model, features, tmp_path)) == {"pooled", "length"}
    export = exported(Jax(), model, tmp_path / "again")
    assert [spec.shape for spec in export.inputs] == [("rows", "the tokens_1"), ("rows", "mask_1")]
    assert {spec.dtype for spec in export.inputs} == {"int32"}


@needs_jax
def test_a_data_frame_is_one_array(tmp_path: Path) -> None:
    signature = ModelSignature(inputs=Schema([ColSpec("double", name) for name in TABLE.data]))
    model = saved(tmp_path / "model", Holder(lambda: lambda table: table.sum(1, keepdims=True)), signature)
    records = {name: TABLE.data[name].to_numpy() for name in TABLE.data}
    export = exported(Jax(), model, tmp_path)
    copy = ask(export.path, {"input": TABLE.data.to_numpy(np.float32)})
    np.testing.assert_allclose(answers(Jax(), model, records)["output"], copy["output"], rtol=1e-5)


@needs_jax
def test_double_precision(tmp_path: Path) -> None:
    weight = np.eye(30, 4, dtype=np.float32)
    features = TABLE.data.to_numpy(np.float32)
    model = saved(tmp_path / "model", Holder(lambda: lambda x: x @ weight), infer_signature(features))
    export = exported(Jax(), model, tmp_path, Precision.FLOAT64)
    assert {spec.dtype for spec in (*export.inputs, *export.outputs)} == {"float64"}
    copy, original = ask(export.path, {"input": features.astype(np.float64)}), answers(Jax(), model, {"input": features})
    np.testing.assert_allclose(copy["output"], original["output"], rtol=1e-5)


@needs_jax
def test_what_onnx_runtime_has_not_in_double_precision_is_not_applicable(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="Could not find an implementation for Conv"):
        exported(Jax(), images(tmp_path / "model"), tmp_path, Precision.FLOAT64)


def test_it_is_code(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"a pickled PythonModel.*source\.trust=tiny"):
        refuse_code(Jax(), saved(tmp_path / "model", Plain(), ROWS))


FROM_CODE = """
import jax.numpy as jnp
import mlflow

class Double(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.weight = jnp.load(context.artifacts["weight"])
    def jax_function(self):
        return lambda x: x @ self.weight
    def predict(self, context, model_input, params=None):
        return self.jax_function()(model_input)

mlflow.models.set_model(Double())
"""


@needs_jax
def test_a_model_from_code_with_files(tmp_path: Path) -> None:
    (tmp_path / "double.py").write_text(FROM_CODE)
    np.save(tmp_path / "weight.npy", np.eye(4, dtype=np.float32) * 2)
    features = np.arange(12, dtype=np.float32).reshape(3, 4)
    artifacts = {"weight": str(tmp_path / "weight.npy")}
    model = saved(tmp_path / "model", str(tmp_path / "double.py"), infer_signature(features), artifacts=artifacts)
    assert Jax().risk(model) == "a PythonModel made by its own code"
    np.testing.assert_allclose(compared(model, {"input": features}, tmp_path)["output"], features * 2)


@pytest.mark.parametrize(
    ("requirements", "accepted"),
    [(["jax==0.10.2"], True), (["flax"], True), (["jax[cpu]>=0.4"], True), (["jaxtyping"], False), (["numpy"], False)],
)
def test_its_requirements_say_that_it_is_jax(tmp_path: Path, requirements: list[str], accepted: bool) -> None:
    model = saved(tmp_path / "model", Holder(lambda: lambda x: x), infer_signature(IMAGES), pip_requirements=requirements)
    assert Jax().accepts(model) is accepted


class Plain(PythonModel):  # type: ignore[misc]
    """One without the method."""

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:  # noqa: ANN401 - MLflow's own types
        """For MLflow."""
        return model_input


def broken() -> Any:  # noqa: ANN401 - nothing
    raise KeyError("no parameters")


def eigen(x: Any) -> Any:  # noqa: ANN401 - JAX's arrays
    import jax.numpy as jnp

    return jnp.linalg.svd(x[:, None, :] * x[:, :, None])[1]


ROWS = infer_signature(np.ones((3, 4), np.float32))


@pytest.mark.parametrize(
    ("make", "signature", "told"),
    [
        pytest.param(Plain(), ROWS, r"Plain of tiny has no method jax_function\(\).*runtime=pyfunc", marks=needs_jax),
        pytest.param(Holder(broken), ROWS, r"jax_function\(\) of tiny failed: 'no parameters'", marks=needs_jax),
        pytest.param(
            Holder(lambda: lambda x: x @ np.ones((5, 2), np.float32)),
            ROWS,
            "it cannot answer what its signature allows",
            marks=needs_jax,
        ),
        pytest.param(
            Holder(lambda: lambda x: x.sum()), ROWS, "no answer of tiny has the rows as its first axis", marks=needs_jax
        ),
        pytest.param(Holder(lambda: eigen), ROWS, "jax2onnx cannot export this function", marks=needs_jax),
        (Holder(lambda: lambda x: x), ModelSignature(inputs=Schema([ColSpec("string", "a")])), "is of strings"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(tmp_path: Path, make: Any, signature: ModelSignature, told: str) -> None:  # noqa: ANN401
    with pytest.raises(ConversionError, match=told) as caught:
        exported(Jax(), saved(tmp_path / "model", make, signature), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_model_without_signature_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="tiny has no signature"):
        Jax().load(saved(tmp_path / "model", Plain(), None))


@needs_jax
def test_an_original_that_cannot_answer_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="the original cannot answer"):
        answers(Jax(), images(tmp_path / "model"), {"input": IMAGES[:3, :5]})


@needs_jax
def test_in_a_process_of_its_own(tmp_path: Path) -> None:
    model = replace(images(tmp_path / "model"), trusted=True)
    for name in ("scratch", "export"):
        (tmp_path / name).mkdir()
    with opened(Jax(), model, Conversion(), tmp_path / "scratch") as original:
        export = original.export(tmp_path / "export", Precision.FLOAT32)
        found = original.predict({"input": IMAGES[:20]})["output"]
    np.testing.assert_allclose(ask(export.path, {"input": IMAGES[:20]})["output"], found, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.skipif(not UV, reason="needs uv: make formats")
@needs_jax
def test_in_an_environment_of_its_own(tmp_path: Path) -> None:
    requirements = ["jax==0.10.2", "flax==0.12.8", "mlflow-skinny==3.17.2", "cloudpickle", "numpy<2.5"]
    model = replace(images(tmp_path / "model", pip_requirements=requirements), trusted=True)
    for name in ("scratch", "export"):
        (tmp_path / name).mkdir()
    with opened(Jax(), model, Conversion(isolation=Isolation.VENV), tmp_path / "scratch") as original:
        export = original.export(tmp_path / "export", Precision.FLOAT32)
        found = original.predict({"input": IMAGES[:20]})["output"]
    np.testing.assert_allclose(ask(export.path, {"input": IMAGES[:20]})["output"], found, rtol=1e-4, atol=1e-5)
