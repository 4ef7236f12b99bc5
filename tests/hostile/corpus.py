"""Hostile models: each is built as a registry would hold it, and says in which words it must be refused."""

import json
import os
import pickle
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import yaml
from onnx import ModelProto, helper

from tests.hostile.trap import SIGNATURE, Trap, bomb, describe, zipped
from tests.models import saved_onnx, saved_sklearn, two_inputs

Build = Callable[[Path, Trap], object]


@dataclass(frozen=True)
class Case:
    """`build` writes the model's files into a folder that does not exist yet; the refusal must hold `told`, a pattern."""

    name: str
    build: Build
    told: str


CASES: list[Case] = []


def hostile(told: str, name: str = "") -> Callable[[Build], Build]:
    """Make the function a case, by its own name."""

    def add(build: Build) -> Build:
        CASES.append(Case(name or build.__name__, build, told))
        return build

    return add


@cache
def sound(kind: str) -> Path:
    """A model with nothing wrong, made once."""
    folder = Path(tempfile.mkdtemp()) / kind
    if kind == "sklearn":
        from sklearn.linear_model import LogisticRegression

        x = np.array([[0, 1], [1, 0], [2, 2], [3, 1]], np.float32)
        saved_sklearn(folder, LogisticRegression().fit(x, [0, 1, 0, 1]), x)
    else:
        saved_onnx(folder, two_inputs(weights=1000))
    return folder


def copied(kind: str, folder: Path) -> Path:
    """A copy to be spoilt."""
    shutil.copytree(sound(kind), folder)
    return folder


# --- formats that are code: refused as long as nobody trusts them -----------------------------------------------------

CODE = r"holds code, .*source\.trust=hostile"

PICKLED = {
    "sklearn_pickle": ("sklearn", {"pickled_model": "model.pkl", "serialization_format": "pickle"}, "model.pkl"),
    "sklearn_cloudpickle": ("sklearn", {"pickled_model": "model.pkl", "serialization_format": "cloudpickle"}, "model.pkl"),
    "sklearn_joblib": ("sklearn", {"pickled_model": "model.joblib", "serialization_format": "joblib"}, "model.joblib"),
    "sklearn_of_an_unknown_format": ("sklearn", {"pickled_model": "model.pkl", "serialization_format": "?"}, "model.pkl"),
    "sklearn_that_names_no_format": ("sklearn", {"pickled_model": "model.pkl"}, "model.pkl"),
    "lightgbm_pickle": ("lightgbm", {"data": "model.pkl", "model_class": "lightgbm.sklearn.LGBMClassifier"}, "model.pkl"),
    "pytorch_pickle": ("pytorch", {"model_data": "data", "pytorch_version": "2.13.0"}, "data/model.pth"),
}


def _pickled(flavour: str, settings: dict[str, str], file: str, call: Callable[..., Any]) -> Build:
    def build(folder: Path, trap: Trap) -> None:
        describe(folder, {flavour: settings, "python_function": {"loader_module": f"mlflow.{flavour}"}})
        (folder / file).parent.mkdir(exist_ok=True)
        (folder / file).write_bytes(trap.pickle(call))

    return build


for _name, (_library, _settings, _file) in PICKLED.items():
    for _call in (exec, os.system):
        hostile(CODE, f"{_name}_{_call.__name__}")(_pickled(_library, dict(_settings), _file, _call))


def _torch_archive(path: Path, content: bytes, *more: str) -> None:
    members = {"archive/data.pkl": content, "archive/version": b"3\n", "archive/byteorder": b"little"}
    zipped(path, members | {f"archive/{name}": b"x = 1\n" for name in more})


@hostile(CODE)
def pytorch_archive_with_a_pickle(folder: Path, trap: Trap) -> None:
    describe(folder, {"pytorch": {"model_data": "data", "pytorch_version": "2.13.0"}})
    (folder / "data").mkdir()
    _torch_archive(folder / "data" / "model.pth", trap.pickle())


@hostile(CODE)
def pytorch_torchscript(folder: Path, trap: Trap) -> None:
    describe(folder, {"pytorch": {"model_data": "data", "pytorch_version": "2.13.0"}})
    (folder / "data").mkdir()
    _torch_archive(folder / "data" / "model.pth", trap.pickle(), "code/__torch__.py", "constants.pkl")


@hostile(r"refused|cannot|not")
def pytorch_pt2_with_a_pickle_inside(folder: Path, trap: Trap) -> None:
    describe(folder, {"pytorch": {"model_data": "data", "pytorch_version": "2.13.0", "serialization_format": "pt2"}})
    (folder / "data").mkdir()
    inside = {
        "archive/archive_format": b"pt2", "archive/archive_version": b"0", "archive/models/model.json": b"{}",
        "archive/data/sample_inputs/model.pt": trap.pickle(), "archive/version": b"3", "archive/byteorder": b"little",
        "archive/data/weights/model.pt": trap.pickle(), "archive/data/constants/model.pt": trap.pickle(),
    }  # fmt: skip
    zipped(folder / "data" / "model.pt2", inside)


@hostile(r"no converter|holds code|opens|served as it is")
def pyfunc_of_ones_own(folder: Path, trap: Trap) -> None:
    describe(folder, {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}})
    (folder / "python_model.pkl").write_bytes(trap.pickle())


@hostile(r"no converter|holds code|opens|served as it is")
def pyfunc_with_a_loader_of_its_own(folder: Path, trap: Trap) -> None:
    describe(folder, {"python_function": {"loader_module": "evil", "code": "code", "data": "data"}})
    (folder / "code").mkdir()
    (folder / "code" / "evil.py").write_text(trap.code)


@hostile(r"no converter|holds code|opens|served as it is")
def statsmodels_pickle(folder: Path, trap: Trap) -> None:
    loader = {"loader_module": "mlflow.statsmodels", "data": "model.statsmodels"}
    describe(folder, {"python_function": loader, "statsmodels": {"data": "model.statsmodels"}})
    (folder / "model.statsmodels").write_bytes(trap.pickle())


@hostile(r"no converter|no more|refused|cannot|holds code|needed")
def jax_pickle(folder: Path, trap: Trap) -> None:
    describe(folder, {"python_function": {"loader_module": "mlflow.pyfunc.model", "python_model": "python_model.pkl"}})
    (folder / "python_model.pkl").write_bytes(trap.pickle())
    (folder / "requirements.txt").write_text("jax==0.10.2\n")


def _keras_config(trap: Trap, layer: str, **settings: object) -> bytes:
    inner = {"module": "keras.layers", "class_name": layer, "config": {"name": "l", **settings}, "registered_name": None}
    return json.dumps({"module": "keras", "class_name": "Sequential", "config": {"layers": [inner]}}).encode()


@hostile(CODE)
def keras_lambda(folder: Path, trap: Trap) -> None:
    (folder / "data").mkdir(parents=True)
    flavour = {"keras_version": "3.15.1", "data": "data", "model_type": "keras", "save_format": "keras"}
    describe(folder, {"tensorflow": flavour})
    config = _keras_config(
        trap, "Lambda", function={"class_name": "__lambda__", "config": {"code": "4wEAAAA=", "defaults": None}}
    )
    zipped(folder / "data" / "model.keras", {"config.json": config, "metadata.json": b'{"keras_version": "3.15.1"}'})


@hostile(CODE)
def keras_class_of_another_module(folder: Path, trap: Trap) -> None:
    (folder / "data").mkdir(parents=True)
    flavour = {"keras_version": "3.15.1", "data": "data", "model_type": "keras", "save_format": "keras"}
    describe(folder, {"tensorflow": flavour})
    config = json.dumps({"module": "os", "class_name": "system", "config": trap.shell, "registered_name": "x"}).encode()
    zipped(folder / "data" / "model.keras", {"config.json": config, "metadata.json": b'{"keras_version": "3.15.1"}'})


@hostile(CODE)
def transformers_with_weights_in_a_pickle(folder: Path, trap: Trap) -> None:
    _transformers(folder, {"model_type": "bert"})
    _torch_archive(folder / "model" / "pytorch_model.bin", trap.pickle())


@hostile(CODE)
def transformers_with_classes_of_its_own(folder: Path, trap: Trap) -> None:
    _transformers(folder, {"model_type": "evil", "auto_map": {"AutoModelForSequenceClassification": "evil.Evil"}})
    (folder / "model" / "evil.py").write_text(trap.code)
    (folder / "model" / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")


@hostile(CODE)
def sentence_transformers_with_a_class_of_its_own(folder: Path, trap: Trap) -> None:
    describe(folder, {"sentence_transformers": {}, "python_function": {"data": "model.sentence_transformer"}})
    inner = folder / "model.sentence_transformer"
    inner.mkdir()
    (inner / "modules.json").write_text(json.dumps([{"idx": 0, "name": "0", "path": "", "type": "evil.Evil"}]))
    (inner / "evil.py").write_text(trap.code)
    (inner / "config.json").write_text('{"model_type": "bert"}')


def _transformers(folder: Path, config: dict[str, object]) -> None:
    settings = {"task": "text-classification", "model_binary": "model", "pipeline_model_type": "BertForSequenceClassification"}
    describe(folder, {"transformers": settings})
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(config))


# --- skops: only classes of the trusted packages ----------------------------------------------------------------------


def _skops(node: dict[str, object]) -> Build:
    def build(folder: Path, trap: Trap) -> None:
        copied("sklearn", folder)
        schema = {"_skops_version": "0.13", "protocol": 2, **node}
        text = json.dumps(schema).replace("MARKER", str(trap.marker)).replace("SHELL", trap.shell.replace('"', "'"))
        zipped(folder / "model.skops", {"schema.json": text.encode()})

    return build


def _json(value: object) -> dict[str, object]:
    return {
        "__class__": "str",
        "__module__": "builtins",
        "__loader__": "JsonNode",
        "content": json.dumps(value),
        "is_json": True,
    }


def _named(module: str, function: str) -> dict[str, object]:
    return {
        "__class__": function, "__module__": module, "__loader__": "FunctionNode", "__id__": 1,
        "content": {"module_path": module, "function": function},
    }  # fmt: skip


for _module, _function in [
    ("os", "system"), ("posix", "system"), ("subprocess", "Popen"), ("builtins", "exec"), ("builtins", "eval"),
    ("pickle", "loads"), ("numpy", "load"), ("numpy.testing", "assert_equal"), ("sklearn.utils", "os"),
    ("sklearn.datasets", "fetch_openml"), ("shutil", "rmtree"), ("importlib", "import_module"),
]:  # fmt: skip
    hostile(r"refused|no model of|names|cannot", f"skops_{_module}.{_function}")(_skops(_named(_module, _function)))


@hostile(r"refused|names|cannot|no ")
def skops_object_that_reduces_to_a_call(folder: Path, trap: Trap) -> None:
    attrs = {
        "__class__": "tuple",
        "__module__": "builtins",
        "__loader__": "TupleNode",
        "content": [_json("SHELL")],
        "__id__": 3,
    }
    node = {"__class__": "system", "__module__": "os", "__loader__": "ObjectNode", "__id__": 1, "content": attrs}
    _skops(node)(folder, trap)


def _type(module: str, name: str) -> dict[str, object]:
    return {"__class__": name, "__module__": module, "__loader__": "TypeNode"}


def _made(module: str, name: str, *arguments: object) -> dict[str, object]:
    """An object of the class, made of these arguments as skops does."""
    given = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": list(arguments)}
    return {"__class__": name, "__module__": module, "__loader__": "ConstructorFromReduceNode", "content": given}


def _filled(module: str, name: str, attributes: dict[str, object]) -> dict[str, object]:
    """An object of the class with these attributes, put there as skops does."""
    words = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode"}
    names = words | {"content": [_type("builtins", "str") for _ in attributes]}
    inner = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "key_types": names, "content": attributes}
    return {"__class__": name, "__module__": module, "__loader__": "ObjectNode", "content": inner}


LISTENER = "sklearn.callback._transport"

for _name, _node in {
    "text_that_scipy_runs": _filled("scipy.stats._continuous_distns", "norm_gen", {
        "_parse_arg_template": _json("import os; os.system('touch MARKER')")
    }),
    "file_that_numpy_writes": _made("numpy", "memmap", *map(_json, ("MARKER", "uint8", "w+", 0, [3]))),
    "archive_that_numpy_unpickles": _made("numpy.lib._npyio_impl", "NpzFile", *map(_json, ("MARKER", False, True))),
    "file_of_another_library": _made("sklearn.datasets._covtype", "GzipFile", *map(_json, ("MARKER", "wb"))),
    "call_of_another_library": _made("numpy.testing._private.utils", "partial", _type("builtins", "list")),
    "attribute_of_whatever_comes": _made("sklearn.feature_selection._base", "attrgetter", _json("__class__")),
    "thread": _made(LISTENER, "Thread", _json(None), _type("builtins", "list")),
    "server": _made(LISTENER, "Listener", _json(["127.0.0.1", 0])),
    "function_made_of_bytes": _made("sklearn.externals.array_api_extra.testing._testing", "FunctionType"),
    "class_of_a_private_helper": _made("sklearn.utils._testing", "TempMemmap", _json([1])),
}.items():  # fmt: skip
    hostile(r"which no estimator of scikit-learn's is made of: refused", f"skops_{_name}")(_skops(_node))


@hostile(r"which no estimator of scikit-learn's is made of: refused")
def skops_method_of_an_estimator(folder: Path, trap: Trap) -> None:
    inner = _filled("sklearn.linear_model._logistic", "LogisticRegression", {"C": _json(1)})
    content = {"func": "set_params", "obj": inner}
    names = {"__class__": "LogisticRegression", "__module__": "sklearn.linear_model._logistic", "__loader__": "MethodNode"}
    _skops({**names, "content": content})(folder, trap)


@hostile(r"refused|cannot|no ")
def skops_array_of_pickled_objects(folder: Path, trap: Trap) -> None:
    copied("sklearn", folder)
    node = {
        "__class__": "ndarray",
        "__module__": "numpy",
        "__loader__": "NdArrayNode",
        "type": "numpy",
        "file": "a.npy",
        "__id__": 1,
    }
    header = b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(117) + b"\n"
    schema = json.dumps({"_skops_version": "0.13", "protocol": 2, **node}).encode()
    zipped(folder / "model.skops", {"schema.json": schema, "a.npy": header + trap.pickle()})


@hostile(r"cannot be read|cannot|no ")
def skops_that_is_no_archive(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "model.skops").write_bytes(trap.pickle())


# --- archives ---------------------------------------------------------------------------------------------------------


@hostile("unpacks to .* far more than it is")
def skops_bomb(folder: Path, trap: Trap) -> None:
    bomb(copied("sklearn", folder) / "model.skops", "schema.json")


@hostile("unpacks to .* far more than it is")
def keras_bomb(folder: Path, trap: Trap) -> None:
    bomb(describe(folder, {"keras": {"keras_version": "3.15.1"}}) / "model.keras", "config.json")


@hostile("unpacks to .* far more than it is")
def bomb_that_nobody_names(folder: Path, trap: Trap) -> None:
    bomb(copied("sklearn", folder) / "extra.npz", "a.npy")


@hostile("leads outside")
def archive_that_climbs(folder: Path, trap: Trap) -> None:
    zipped(copied("sklearn", folder) / "model.skops", {"schema.json": b"{}", "../../outside/ran": b"ran"})


@hostile("leads outside")
def archive_with_an_absolute_name(folder: Path, trap: Trap) -> None:
    zipped(copied("sklearn", folder) / "model.skops", {"schema.json": b"{}", str(trap.marker): b"ran"})


@hostile("leads outside")
def archive_with_backslashes(folder: Path, trap: Trap) -> None:
    zipped(copied("sklearn", folder) / "model.skops", {"schema.json": b"{}", "..\\..\\outside\\ran": b"ran"})


@hostile("leads outside")
def archive_with_a_link(folder: Path, trap: Trap) -> None:
    zipped(copied("sklearn", folder) / "model.skops", {"schema.json": b"{}"}, links={"a.npy": str(trap.secret)})


@hostile("unpacks to .* far more than it is")
def bomb_behind_other_bytes(folder: Path, trap: Trap) -> None:
    path = bomb(copied("sklearn", folder) / "model.skops", "schema.json")
    path.write_bytes(b"no archive" + path.read_bytes())


@hostile("cannot be read")
def archive_that_ends_early(folder: Path, trap: Trap) -> None:
    path = copied("sklearn", folder) / "model.skops"
    path.write_bytes(path.read_bytes()[:-40])


# --- the MLmodel file -------------------------------------------------------------------------------------------------


def _mlmodel(content: str | bytes) -> Build:
    def build(folder: Path, trap: Trap) -> None:
        copied("sklearn", folder)
        raw = content if isinstance(content, bytes) else content.replace("SHELL", trap.shell).encode()
        (folder / "MLmodel").write_bytes(raw)

    return build


def _flavour(**settings: object) -> str:
    return yaml.safe_dump({"flavors": {"sklearn": settings}, "signature": SIGNATURE})


LAUGHS = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9) if n else 'lol'}]" for n in range(12))

MLMODELS: list[tuple[str, str | bytes, str]] = [
    ("mlmodel_that_calls", '!!python/object/apply:os.system ["SHELL"]', "cannot be read"),
    ("mlmodel_that_makes_an_object", "flavors: !!python/object/new:subprocess.Popen [[touch, x]]", "cannot be read"),
    ("mlmodel_that_is_a_list", "[1, 2]", "names no flavors"),
    ("mlmodel_that_is_empty", "", "names no flavors"),
    ("mlmodel_without_flavours", "flavors: {}", "names no flavors"),
    ("mlmodel_with_flavours_in_a_list", "flavors: [sklearn]", "names no flavors"),
    ("mlmodel_with_a_flavour_that_is_no_text", "flavors: {3: {}}", "which is no text"),
    ("mlmodel_that_is_no_text", b"\xff\xfe\x00\x01" * 9, "cannot be read"),
    ("mlmodel_that_is_deep", "[" * 50_000, "cannot be read"),
    ("mlmodel_that_is_large", "# " + "x" * 2**24 + "\nflavors: {}", "bytes, .* are allowed"),
    ("mlmodel_that_laughs", f"{LAUGHS}\nflavors: {{sklearn: *a11}}", "says more than 100,000 values"),
    ("mlmodel_whose_format_laughs", f"{LAUGHS}\nflavors: {{sklearn: {{serialization_format: *a11}}}}", "says more than"),
    ("mlmodel_that_holds_itself", "flavors: &a {sklearn: *a}", "says more than 100,000 values"),
    ("flavour_of_two_lines", 'flavors: {"evil\\n\\x1b[2Jconverted": {}}', "which is no word"),
    ("mlmodel_without_settings", "flavors: {sklearn: null}", "holds code|no file of this model|no signature"),
    ("flavour_file_outside", _flavour(pickled_model="../outside/secret", serialization_format="skops"), "no file"),
    ("flavour_file_absolute", _flavour(pickled_model="/etc/passwd", serialization_format="skops"), "no file of this model"),
    ("flavour_file_that_is_a_folder", _flavour(pickled_model=".", serialization_format="skops"), "no file of this model"),
    ("flavour_file_with_a_nul", _flavour(pickled_model="a\0b", serialization_format="skops"), "no file of this model"),
    ("flavour_that_nobody_knows", "flavors: {evil: {loader: os.system}}", "no converter takes"),
    ("signature_that_is_no_json", _flavour() + "signature: {inputs: '{{'}", "signature's inputs cannot be read|cannot be read"),
]  # fmt: skip
for _name, _content, _told in MLMODELS:
    hostile(_told, _name)(_mlmodel(_content))

for _name, _inputs, _told in [
    ("signature_of_numbers", "[1, 2]", "signature's inputs cannot be read"),
    ("signature_without_a_spec", '[{"type": "tensor"}]', "signature's inputs cannot be read"),
    ("signature_of_an_unknown_type", '[{"type": "tensor", "tensor-spec": {"dtype": "O8", "shape": [-1]}}]', "of type 'O8'"),
    ("signature_of_a_shape_of_text", '[{"type": "tensor", "tensor-spec": {"dtype": "int8", "shape": ["x"]}}]', "axis of 'x'"),
    ("signature_that_is_deep", "[" * 50_000, "signature's inputs cannot be read"),
]:  # fmt: skip
    hostile(_told, _name)(_mlmodel(yaml.safe_dump({"flavors": {"sklearn": {}}, "signature": {"inputs": _inputs}})))


# --- links, and files that are none -----------------------------------------------------------------------------------


@hostile("link that leaves its folder")
def link_to_a_file_outside(folder: Path, trap: Trap) -> None:
    path = copied("sklearn", folder) / "model.skops"
    path.unlink()
    path.symlink_to(trap.secret)


@hostile("link that leaves its folder")
def link_to_a_folder(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "code").symlink_to(trap.outside)


@hostile("link that leaves its folder")
def link_to_the_root(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "everything").symlink_to("/")


@hostile("link that leaves its folder")
def mlmodel_that_is_a_link(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "MLmodel").unlink()
    (folder / "MLmodel").symlink_to(trap.secret)


@hostile("hard link to one outside")
def hard_link_to_a_file_outside(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "extra").hardlink_to(trap.secret)


@hostile("link that leaves its folder")
def link_whose_name_has_two_lines(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "a\nconverted").symlink_to(trap.secret)


@hostile("lie in each other more than 50 deep")
def folders_without_end(folder: Path, trap: Trap) -> None:
    copied("sklearn", folder).joinpath(*["a"] * 200).mkdir(parents=True)


@hostile("no regular file")
def pipe(folder: Path, trap: Trap) -> None:
    os.mkfifo(copied("sklearn", folder) / "extra")


@hostile("no regular file")
def pipe_in_place_of_the_model(folder: Path, trap: Trap) -> None:
    (copied("sklearn", folder) / "model.skops").unlink()
    os.mkfifo(folder / "model.skops")


# --- ONNX -------------------------------------------------------------------------------------------------------------


def _onnx(change: Callable[[ModelProto, Path, Trap], object]) -> Build:
    def build(folder: Path, trap: Trap) -> None:
        path = copied("onnx", folder) / "model.onnx"
        made = onnx.load(path, load_external_data=False)
        change(made, folder, trap)
        path.write_bytes(made.SerializeToString())

    return build


def _entry(made: ModelProto, key: str, value: str) -> None:
    for tensor in made.graph.initializer:
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for entry in list(tensor.external_data):
            if entry.key == key:
                tensor.external_data.remove(entry)
        tensor.external_data.append(onnx.StringStringEntryProto(key=key, value=value))


def _external(key: str, value: str) -> Build:
    return _onnx(lambda made, folder, trap: _entry(made, key, value))


WEIGHTS = r"weights in|external data|no valid ONNX|data file|from beyond the end|must be a whole number"

for _name, _key, _value in [
    ("absolute", "location", "/etc/passwd"), ("outside", "location", "../outside/secret"), ("missing", "location", "nosuch"),
    ("climbing", "location", "a/../../outside/secret"), ("folder", "location", "."), ("itself", "location", "model.onnx"),
    ("nowhere", "location", ""), ("device", "location", "/dev/zero"), ("process", "location", "/proc/self/environ"),
    ("long", "length", str(2**50)), ("far", "offset", str(2**50)), ("before", "offset", "-8"), ("wordy", "length", "many"),
]:  # fmt: skip
    hostile(WEIGHTS, f"onnx_weights_{_name}")(_external(_key, _value))


@hostile(WEIGHTS)
def onnx_weights_beyond_a_linked_folder(folder: Path, trap: Trap) -> None:
    def change(made: ModelProto, folder: Path, trap: Trap) -> None:
        (folder / "inner").mkdir()
        (folder / "inner" / "secret").write_bytes(bytes(10))
        (folder / "linked").symlink_to(folder / "inner" / "secret")
        _entry(made, "location", "linked")

    _onnx(change)(folder, trap)


@hostile(WEIGHTS)
def onnx_weights_in_an_inner_graph(folder: Path, trap: Trap) -> None:
    def change(made: ModelProto, folder: Path, trap: Trap) -> None:
        tensor = onnx.TensorProto(name="t", data_type=1, dims=[1], data_location=onnx.TensorProto.EXTERNAL)
        tensor.external_data.append(onnx.StringStringEntryProto(key="location", value="../outside/secret"))
        output = [helper.make_tensor_value_info("t", 1, [1])]
        inner = helper.make_graph([], "inner", [], output, [tensor])
        made.graph.node.append(helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner))

    _onnx(change)(folder, trap)


@hostile("cannot|no valid ONNX|not")
def onnx_operator_of_a_library(folder: Path, trap: Trap) -> None:
    def change(made: ModelProto, folder: Path, trap: Trap) -> None:
        made.graph.node[0].domain = "evil"
        made.opset_import.append(helper.make_opsetid("evil", 1))

    _onnx(change)(folder, trap)


@hostile("cannot|no valid ONNX|weights|refuse|too|no ")
def onnx_of_an_immense_shape(folder: Path, trap: Trap) -> None:
    def change(made: ModelProto, folder: Path, trap: Trap) -> None:
        del made.graph.initializer[0].external_data[:]
        made.graph.initializer[0].data_location = onnx.TensorProto.DEFAULT
        made.graph.initializer[0].dims[:] = [2**31, 2**31]

    _onnx(change)(folder, trap)


@hostile("is no ONNX file")
def onnx_that_is_a_pickle(folder: Path, trap: Trap) -> None:
    (copied("onnx", folder) / "model.onnx").write_bytes(trap.pickle())


@hostile("no ONNX|no valid ONNX|cannot|weights")
def onnx_that_ends_early(folder: Path, trap: Trap) -> None:
    path = copied("onnx", folder) / "model.onnx"
    path.write_bytes(path.read_bytes()[:-20])


# --- other graphs -----------------------------------------------------------------------------------------------------

ENTITY = '<?xml version="1.0"?><!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/passwd">]><net name="&x;" version="11"></net>'


def _openvino(xml: str) -> Build:
    def build(folder: Path, trap: Trap) -> None:
        describe(folder, {"openvino": {"model": "model.xml"}})
        (folder / "model.xml").write_text(xml)
        (folder / "model.bin").write_bytes(bytes(64))

    return build


hostile("document type", "openvino_with_an_entity")(_openvino(ENTITY))
hostile("cannot|no converter", "openvino_that_is_no_graph")(_openvino("<a/>"))


@hostile("cannot|no |needed")
def xgboost_that_is_a_pickle(folder: Path, trap: Trap) -> None:
    describe(folder, {"xgboost": {"data": "model.xgb", "model_class": "xgboost.core.Booster"}})
    (folder / "model.xgb").write_bytes(trap.pickle())


@hostile("names the class|must be one of|cannot|no |needed")
def xgboost_of_a_class_of_another_library(folder: Path, trap: Trap) -> None:
    describe(folder, {"xgboost": {"data": "model.xgb", "model_class": "subprocess.Popen"}})
    (folder / "model.xgb").write_bytes(b"{}")


@hostile("cannot|no |needed")
def catboost_that_is_a_pickle(folder: Path, trap: Trap) -> None:
    describe(folder, {"catboost": {"data": "model.cb", "model_type": "CatBoost", "save_format": "cbm"}})
    (folder / "model.cb").write_bytes(trap.pickle())


@hostile("cannot|no |needed|must")
def lightgbm_that_is_a_pickle_under_another_name(folder: Path, trap: Trap) -> None:
    describe(folder, {"lightgbm": {"data": "model.lgb", "model_class": "lightgbm.basic.Booster"}})
    (folder / "model.lgb").write_bytes(pickle.dumps({"model": 1}) + trap.pickle())


@hostile("cannot|no |needed|names")
def transformers_weights_that_are_none(folder: Path, trap: Trap) -> None:
    _transformers(folder, {"model_type": "bert"})
    (folder / "model" / "model.safetensors").write_bytes((2**60).to_bytes(8, "little") + trap.pickle())


@hostile("lies outside|cannot|no ")
def transformers_folder_outside(folder: Path, trap: Trap) -> None:
    describe(folder, {"transformers": {"task": "text-classification", "model_binary": "../outside"}})


@hostile("no |cannot")
def tokenizer_that_is_no_tokenizer(folder: Path, trap: Trap) -> None:
    _transformers(folder, {"model_type": "bert"})
    (folder / "model" / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "model" / "tokenizer.json").write_text("[" * 10_000)
