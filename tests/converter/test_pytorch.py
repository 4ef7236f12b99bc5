"""PyTorch → ONNX."""

import functools
import importlib
import json
import os
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from mlflow.models import ModelSignature, infer_signature
from mlflow.types import ColSpec, Schema, TensorSpec
from sklearn.datasets import load_breast_cancer, load_digits

from fdpipe.arrays import Batch
from fdpipe.artifacts import Precision, SourceModel
from fdpipe.converter.pytorch import PyTorch
from fdpipe.errors import ConversionError, NotApplicable, SourceError
from fdpipe.isolation import opened, refuse_code
from fdpipe.mlmodel import describe
from fdpipe.plan import Conversion
from fdpipe.processor.tabular import Tabular
from tests.contracts.converter import ConverterContract, answers, ask, exported
from tests.contracts.settings import built
from tests.models import ref_of

if TYPE_CHECKING:
    import torch
    from torch import nn
else:
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'fdpipe[torch]'")
    nn = torch.nn

IMAGES = (load_digits().images[:, None] / 16).astype(np.float32)
DIGITS = load_digits().target


class Images(nn.Module):  # type: ignore[misc]
    """A convolutional network on digits."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.last = nn.Linear(width * 16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.norm(self.convolution(image)))
        return self.last(nn.functional.max_pool2d(found, 2).flatten(1)).softmax(1)


class Sequences(nn.Module):  # type: ignore[misc]
    """A recurrent network on tokens, which answers its last state too."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 8)
        self.recurrent = nn.GRU(8, 16, batch_first=True)
        self.last = nn.Linear(16, 10)

    def forward(self, tokens: torch.Tensor) -> dict[str, torch.Tensor]:
        found, state = self.recurrent(self.embedding(tokens))
        return {"scores": self.last(found.mean(1)), "state": state}


class TwoHalves(nn.Module):  # type: ignore[misc]
    """Two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(32, 10), nn.Linear(32, 10)

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return self.left(left) + self.right(right)


class Columns(nn.Module):  # type: ignore[misc]
    """A data frame's columns, side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(30, 2)

    def forward(self, table: torch.Tensor) -> torch.Tensor:
        return self.last(torch.log1p(table))


@functools.cache
def trained(kind: Any, steps: int = 30) -> Any:  # noqa: ANN401 - a module
    """A module of the class that has learnt something."""
    torch.manual_seed(0)
    module = kind()
    inputs = {
        Images: [IMAGES],
        Sequences: [load_digits().data.astype(np.int64)[:, :40]],
        TwoHalves: [IMAGES.reshape(-1, 64)[:, :32], IMAGES.reshape(-1, 64)[:, 32:]],
        Columns: [load_breast_cancer().data.astype(np.float32)],
    }[kind]
    labels = torch.from_numpy(load_breast_cancer().target if kind is Columns else DIGITS)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(steps):
        found = module(*map(torch.from_numpy, inputs))
        loss = nn.functional.cross_entropy(found["scores"] if kind is Sequences else found, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


def saved(folder: Path, module: Any, signature: ModelSignature, **settings: Any) -> SourceModel:  # noqa: ANN401 - a module
    """The module in MLflow's pytorch flavour: today's default with an `input_example`, a pickle without."""
    import mlflow.pytorch

    settings.setdefault("serialization_format", "pt2" if "input_example" in settings else "pickle")
    mlflow.pytorch.save_model(module, str(folder), pip_requirements=["torch"], signature=signature, **settings)
    return describe(ref_of(folder), folder)


def images(folder: Path, rows: int = 4, **settings: Any) -> SourceModel:  # noqa: ANN401
    return saved(folder, trained(Images), infer_signature(IMAGES), input_example=IMAGES[:rows], **settings)


TOKENS = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.int64), (-1, -1), "tokens")]))


def compared(model: SourceModel, features: Batch, folder: Path, converter: PyTorch | None = None) -> dict[str, np.ndarray]:
    """What both answer."""
    converter = converter or PyTorch()
    export = exported(converter, model, folder)
    original, copy = answers(converter, model, features), ask(export.path, features)
    assert list(original) == list(copy)
    for name, array in original.items():
        assert array.shape == copy[name].shape
        np.testing.assert_allclose(array, copy[name], rtol=1e-4, atol=1e-5)
    return copy


class TestPyTorch(ConverterContract):
    @pytest.fixture
    def converter(self) -> PyTorch:
        return PyTorch()

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        return images(tmp_path / "model")

    @pytest.fixture
    def batch(self) -> Batch:
        return {"input": IMAGES[:50]}

    def test_its_file_is_the_default(self) -> None:
        assert built("converter", "pytorch") == PyTorch()


class TestRecurrent(ConverterContract):
    @pytest.fixture
    def converter(self) -> PyTorch:
        return PyTorch()

    @pytest.fixture
    def model(self, tmp_path: Path) -> SourceModel:
        return saved(tmp_path / "model", trained(Sequences), TOKENS)

    @pytest.fixture
    def batch(self) -> Batch:
        return {"tokens": load_digits().data.astype(np.int64)[:20, :25]}


def scripted(module: Any) -> Any:  # noqa: ANN401 - a module
    return torch.jit.script(module)


def traced(module: Any) -> Any:  # noqa: ANN401 - a module
    return torch.jit.trace(module, torch.from_numpy(IMAGES[:2]))


@pytest.mark.parametrize(
    ("make", "risk"), [(lambda one: one, "a pickle"), (scripted, "a TorchScript archive"), (traced, "a TorchScript archive")]
)
def test_older_formats_hold_code_and_answer_alike(tmp_path: Path, make: Callable[[Any], Any], risk: str) -> None:
    model = saved(tmp_path / "model", make(trained(Images)), infer_signature(IMAGES))
    with pytest.raises(ConversionError, match=rf"{risk}.*source\.trust=tiny"):
        refuse_code(PyTorch(), model)
    right = compared(model, {"input": IMAGES}, tmp_path)["output"].argmax(1) == DIGITS
    assert right.mean() > 0.8


def test_a_scripted_branch_stays_one(tmp_path: Path) -> None:
    class Either(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if bool((x.sum() > 0).item()):
                return x * 2
            return x * 3

    features = np.ones((3, 2), np.float32)
    model = saved(tmp_path / "model", torch.jit.script(Either()), infer_signature(features))
    compared(model, {"input": features}, tmp_path)
    compared(model, {"input": -features}, tmp_path / "again")


def test_a_branch_that_only_python_knows_is_refused(tmp_path: Path) -> None:
    class Either(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * 2 if x.sum() > 0 else x * 3

    model = saved(tmp_path / "model", Either(), infer_signature(np.ones((3, 2), np.float32)))
    with pytest.raises(ConversionError, match=r"torch\.onnx cannot export this Either: .*data-dependent") as caught:
        exported(PyTorch(), model, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("rows", [1, 4])
def test_a_program_of_one_batch_size_is_traced_again(tmp_path: Path, rows: int) -> None:
    model = images(tmp_path / "model", rows)
    assert PyTorch().risk(model) is None
    compared(model, {"input": IMAGES[:50]}, tmp_path)


def test_a_batch_size_that_is_built_in_is_refused(tmp_path: Path) -> None:
    class Fixed(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.reshape(x.shape[0], 2, -1).reshape(int(x.shape[0]), -1) * torch.ones(x.shape[0], 1)

    features = np.ones((1, 4), np.float32)
    model = saved(tmp_path / "model", Fixed(), infer_signature(np.ones((3, 4), np.float32)), input_example=features)
    with pytest.raises(
        ConversionError, match="the batch of 1 with which tiny was exported is built in: save it with an input_ex"
    ):
        exported(PyTorch(), model, tmp_path)


def test_sequences_of_any_length_and_no_answer_that_is_not_by_row(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", trained(Sequences), TOKENS)
    export = exported(PyTorch(), model, tmp_path / "export")
    assert export.inputs[0].shape == ("rows", "tokens_1")
    tokens = load_digits().data.astype(np.int64)
    assert set(compared(model, {"tokens": tokens[:9, :64]}, tmp_path / "a")) == {"scores"}
    compared(model, {"tokens": tokens[:1, :1]}, tmp_path / "b")


@pytest.mark.parametrize("settings", [{}, {"input_example": (IMAGES[:3].reshape(3, 64)[:, :32],) * 2}])
def test_two_inputs_go_by_name_or_in_order(tmp_path: Path, settings: dict[str, Any]) -> None:
    both = IMAGES.reshape(-1, 64)
    features = {"top": both[:, :32], "bottom": both[:, 32:]} if settings else {"right": both[:, 32:], "left": both[:, :32]}
    model = saved(tmp_path / "model", trained(TwoHalves), infer_signature(features), **settings)
    assert (compared(model, features, tmp_path)["output"].argmax(1) == DIGITS).mean() > 0.7


def test_a_data_frame_is_one_tensor(tmp_path: Path) -> None:
    data = load_breast_cancer(as_frame=True)
    signature = ModelSignature(inputs=Schema([ColSpec("double", name) for name in data.data]))
    model = saved(tmp_path / "model", trained(Columns), signature)
    export = exported(PyTorch(), model, tmp_path)
    records = {name: data.data[name].to_numpy() for name in data.data}
    tensors = Tabular().bind(model, export.inputs, tmp_path).prepare(records)
    np.testing.assert_allclose(
        answers(PyTorch(), model, records)["output"], ask(export.path, tensors)["output"], rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("settings", [{}, {"input_example": (IMAGES[:3].reshape(3, 64)[:, :32],) * 2}])
def test_double_precision(tmp_path: Path, settings: dict[str, Any]) -> None:
    both = IMAGES.reshape(-1, 64).astype(np.float64)
    features = {"left": both[:, :32], "right": both[:, 32:]}
    floats = {name: array.astype(np.float32) for name, array in features.items()}
    model = saved(tmp_path / "model", trained(TwoHalves), infer_signature(floats), **settings)
    export = exported(PyTorch(), model, tmp_path, Precision.FLOAT64)
    assert {spec.dtype for spec in (*export.inputs, *export.outputs)} == {"float64"}
    copy, original = ask(export.path, features)["output"], answers(PyTorch(), model, floats)["output"]
    np.testing.assert_allclose(copy, original, rtol=1e-4, atol=1e-5)


def test_what_onnx_runtime_has_not_in_double_precision_is_not_applicable(tmp_path: Path) -> None:
    model = saved(tmp_path / "model", trained(Images), infer_signature(IMAGES))
    with pytest.raises(NotApplicable, match="Could not find an implementation for Conv"):
        exported(PyTorch(), model, tmp_path, Precision.FLOAT64)


def test_a_program_with_floats_of_its_own_has_no_double_precision(tmp_path: Path) -> None:
    class Half(nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.float().half().float()

    features = np.ones((3, 2), np.float32)
    model = saved(tmp_path / "model", Half(), infer_signature(features), input_example=features)
    with pytest.raises(NotApplicable, match="cannot be had in double precision"):
        exported(PyTorch(), model, tmp_path, Precision.FLOAT64)


MODULE = """
from torch import nn
class Table(nn.Module):  # type: ignore[misc]
    def __init__(self, width):
        super().__init__()
        self.last = nn.Linear(4, width)
    def forward(self, x):
        return self.last(x)
"""


@pytest.fixture
def own_modules(tmp_path: Path) -> Iterator[Path]:
    """A file with the class Table, importable from the model's folder only."""
    path = tmp_path / "own_network.py"
    path.write_text(MODULE)
    before = list(sys.path)
    yield path
    sys.path[:] = before
    sys.modules.pop("own_network", None)
    importlib.invalidate_caches()


@pytest.mark.parametrize("checkpoint", [False, True])
def test_a_state_dict_with_a_declared_class(tmp_path: Path, own_modules: Path, checkpoint: bool) -> None:
    import mlflow.pyfunc

    module = nn.Linear(4, 3)
    state = {f"last.{name}": tensor for name, tensor in module.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3} if checkpoint else state, tmp_path / "state_dict.pth")
    mlflow.pyfunc.save_model(
        tmp_path / "model",
        python_model=lambda model_input: model_input,
        artifacts={"state": str(tmp_path / "state_dict.pth")},
        code_paths=[str(own_modules)],
        signature=infer_signature(np.ones((3, 4), np.float32)),
        pip_requirements=["torch"],
    )
    model = describe(ref_of(tmp_path / "model"), tmp_path / "model")
    converter = PyTorch(model_class="own_network.Table", arguments={"width": 3})
    assert not PyTorch().accepts(model)
    assert converter.accepts(model)
    assert converter.risk(model) == "modules of its own"
    features = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    found = compared(model, {"input": features}, tmp_path, converter)["output"]
    np.testing.assert_allclose(found, module(torch.from_numpy(features)).detach().numpy(), rtol=1e-5, atol=1e-6)


class Shout:
    """What a pickle can do."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:  # noqa: ANN401
        return os.mkdir, (str(self.path),)


def test_a_state_dict_with_code_in_it_is_not_unpickled(tmp_path: Path) -> None:
    model = images(tmp_path / "model")
    torch.save({"last": Shout(tmp_path / "ran")}, tmp_path / "model" / "data" / "state_dict.pth")
    converter = PyTorch(model_class="torch.nn.Linear")
    assert converter.risk(model) is None
    with pytest.raises(ConversionError, match=r"'state_dict\.pth' holds more than tensors"):
        exported(converter, model, tmp_path)
    assert not (tmp_path / "ran").exists()


def rewritten(model: SourceModel, change: Callable[[str, bytes], bytes], extra: dict[str, bytes] | None = None) -> None:
    """The model's pt2 file with other records."""
    path = model.path / "data" / "model.pt2"
    with zipfile.ZipFile(path) as archive:
        records = {name: change(name, archive.read(name)) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (records | (extra or {})).items():
            archive.writestr(name, content)


def pickled(path: Path) -> bytes:
    torch.save(Shout(path), path.with_suffix(".pt"))
    return path.with_suffix(".pt").read_bytes()


def replaced(old: str, new: str) -> Callable[[str, bytes], bytes]:
    return lambda name, content: content.replace(old.encode(), new.encode()) if name.endswith(".json") else content


def spoilt_weight(ran: Path) -> Callable[[str, bytes], bytes]:
    def change(name: str, content: bytes) -> bytes:
        if name.endswith("weights_config.json"):
            return content.replace(b'"use_pickle": false', b'"use_pickle": true', 1)
        return pickled(ran) if name.endswith("weight_0") else content

    return change


HOSTILE: dict[str, tuple[Callable[[Path], Callable[[str, bytes], bytes]], str]] = {
    "a pickled weight": (spoilt_weight, "is pickled"),
    "a size": (lambda ran: replaced("Symbol('s", f"__import__('os').mkdir('{ran}') or Symbol('s"), "the size"),
    "a call": (lambda ran: replaced("torch.ops.aten.relu.default", "torch.hub.os.mkdir"), r"a call of 'torch\.hub\.os\.mkdir'"),
    "a file": (lambda ran: replaced("torch.ops.aten.relu.default", "torch.ops.aten.from_file.default"), "a call of"),
    "a name": (lambda ran: replaced('"image"', f'"image=__import__(\'os\').mkdir(\'{ran}\')"'), "the name"),
    "a structure": (
        lambda ran: replaced("builtins.tuple", "torch.return_types.max"),
        r"it makes a torch\.return_types\.max",
    ),
    "an enumeration": (
        lambda ran: replaced('\\"context\\": \\"null\\"', '\\"context\\": \\"{\\\\\\"__enum__\\\\\\": true}\\"'),
        "the key",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_a_hostile_program_is_refused_and_nothing_runs(tmp_path: Path, what: str) -> None:
    make, told = HOSTILE[what]
    model = images(tmp_path / "model")
    rewritten(model, make(tmp_path / "ran"))
    with pytest.raises(ConversionError, match=rf"model\.pt2 is refused, .*{told}.*source\.trust=tiny") as caught:
        exported(PyTorch(), model, tmp_path)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_a_trusted_program_may_hold_what_is_not_known(tmp_path: Path) -> None:
    model = images(tmp_path / "model")
    rewritten(model, lambda name, content: content, {"model/notes": b"harmless"})
    with pytest.raises(ConversionError, match="it has a record 'notes'"):
        exported(PyTorch(), model, tmp_path)
    compared(replace(model, trusted=True), {"input": IMAGES[:5]}, tmp_path / "trusted")


@pytest.mark.parametrize(
    "record",
    ["model/data/constants/custom_obj_0", "model/data/constants/opaque_obj_0", "model/data/aotinductor/model/a.so", "model/x"],
)
def test_a_record_that_may_be_code_is_refused(tmp_path: Path, record: str) -> None:
    model = images(tmp_path / "model")
    rewritten(model, lambda name, content: content, {record: pickled(tmp_path / "ran")})
    with pytest.raises(ConversionError, match=r"model\.pt2 is refused, it has a record"):
        exported(PyTorch(), model, tmp_path)
    assert not (tmp_path / "ran").exists()


def test_pickled_examples_and_guards_are_never_read(tmp_path: Path) -> None:
    model = images(tmp_path / "model")

    def change(name: str, content: bytes) -> bytes:
        if name.endswith("models/model.json"):
            return json.dumps(json.loads(content) | {"guards_code": [f"__import__('os').mkdir('{tmp_path / 'ran'}')"]}).encode()
        return pickled(tmp_path / "ran") if name.endswith("sample_inputs/model.pt") else content

    rewritten(model, change)
    compared(model, {"input": IMAGES[:5]}, tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("hostile", [False, True])
def test_programs_of_the_first_format(tmp_path: Path, hostile: bool) -> None:
    """As torch 2.4 to 2.7 wrote them: every tensor in a pickle."""
    from torch._export.serde.schema import SCHEMA_VERSION
    from torch._export.serde.serialize import serialize

    model = images(tmp_path / "model")
    path = model.path / "data" / "model.pt2"
    artifact = serialize(torch.export.load(path))
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
        archive.writestr("serialized_exported_program.json", artifact.exported_program)
        archive.writestr("serialized_state_dict.pt", pickled(tmp_path / "ran") if hostile else artifact.state_dict)
        archive.writestr("serialized_constants.pt", artifact.constants)
        archive.writestr("serialized_example_inputs.pt", artifact.example_inputs)
    if hostile:
        with pytest.raises(ConversionError, match=r"'serialized_state_dict\.pt' holds more than tensors"):
            exported(PyTorch(), model, tmp_path)
        assert not (tmp_path / "ran").exists()
    else:
        compared(model, {"input": IMAGES[:5]}, tmp_path)


def no_signature(folder: Path) -> SourceModel:
    return replace(images(folder), inputs=())


def no_archive(folder: Path) -> SourceModel:
    model = images(folder)
    (folder / "data" / "model.pt2").write_bytes(b"nonsense")
    return model


def a_dictionary(folder: Path) -> SourceModel:
    model = saved(folder, trained(Images), infer_signature(IMAGES))
    torch.save({"a": 1}, folder / "data" / "model.pth")
    return model


def other_shape(folder: Path) -> SourceModel:
    return saved(folder, trained(Images), infer_signature(IMAGES[:, 0]))


def other_inputs(folder: Path) -> SourceModel:
    return saved(folder, trained(Images), infer_signature({"a": IMAGES, "b": IMAGES}))


def without_rows(folder: Path) -> SourceModel:
    return saved(folder, nn.Flatten(0), infer_signature(IMAGES))


def strings(folder: Path) -> SourceModel:
    return saved(folder, trained(Images), ModelSignature(inputs=Schema([ColSpec("string", "a")])))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (no_signature, "tiny has no signature"),
        (no_archive, r"model\.pt2 is no exported program"),
        (a_dictionary, r"model\.pth holds a dict, not a torch\.nn\.Module.*model_class"),
        (other_shape, "Images does not answer image .*, which its signature allows"),
        (other_inputs, "Images takes image; its signature has a, b"),
        (without_rows, "the first axis of an answer must be the rows"),
        (strings, "is of strings"),
    ],
)
def test_what_cannot_be_exported_is_one_clear_line(tmp_path: Path, make: Callable[[Path], SourceModel], told: str) -> None:
    with pytest.raises(ConversionError, match=told) as caught:
        exported(PyTorch(), make(tmp_path / "model"), tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_outside_the_models_folder_is_refused(tmp_path: Path) -> None:
    model = images(tmp_path / "model")
    path = model.path / "data" / "model.pt2"
    path.rename(tmp_path / "model.pt2")
    path.symlink_to(tmp_path / "model.pt2")
    with pytest.raises(SourceError, match=r"model\.pt2 is not in the folder of tiny"):
        PyTorch().risk(model)
    path.unlink()
    with pytest.raises(SourceError, match=r"neither model\.pt2 nor model\.pth"):
        PyTorch().risk(model)


def test_an_original_that_cannot_answer_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="the original cannot answer"):
        answers(PyTorch(), images(tmp_path / "model"), {"input": IMAGES[:3, :, :5]})


@pytest.mark.parametrize("form", ["pt2", "pickle", "TorchScript"])
def test_in_a_process_of_its_own(tmp_path: Path, form: str) -> None:
    if form == "pt2":
        model = images(tmp_path / "model")
    else:
        module = torch.jit.trace(trained(Images), torch.from_numpy(IMAGES[:2])) if form == "TorchScript" else importable()
        model = replace(saved(tmp_path / "model", module, infer_signature(IMAGES)), trusted=True)
    for name in ("scratch", "export"):
        (tmp_path / name).mkdir()
    with opened(PyTorch(), model, Conversion(), tmp_path / "scratch") as original:
        export = original.export(tmp_path / "export", Precision.FLOAT32)
        found = original.predict({"input": IMAGES[:20]})["output"]
    np.testing.assert_allclose(ask(export.path, {"input": IMAGES[:20]})["output"], found, rtol=1e-4, atol=1e-5)


def importable() -> nn.Module:
    """A module of torch's own classes: the child knows nothing of those in this file."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 10)).eval()
