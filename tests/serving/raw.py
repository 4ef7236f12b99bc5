"""Two tiny models that take what people have: sentences, and pictures. Each tells a label by its name."""

import base64
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from onnx import TensorProto, helper, numpy_helper
from onnx.helper import make_tensor_value_info as value
from PIL import Image as Pillow

from fdpipe.artifacts import Task, TensorSpec
from fdpipe.processor.image import Image
from fdpipe.processor.text import Text
from tests.serving import tiny

COLOURS = ("red", "green", "blue")
FEELINGS = ("sad", "glad")
WORDS = ("[UNK]", "[PAD]", "rain", "sun", "and")


def pictures(folder: Path) -> tiny.Pieces:
    """An image → the colour that it has most of."""
    settings = {"image_processor_type": "ViTImageProcessor", "size": {"height": 4, "width": 4}, "do_normalize": False}
    _describe(folder, "image_processor", {"preprocessor_config.json": settings}, "image-classification", COLOURS)
    nodes = [helper.make_node("ReduceMean", ["pixel_values", "axes"], ["logits"], keepdims=0)]
    axes = numpy_helper.from_array(np.array([2, 3], np.int64), "axes")
    given = [value("pixel_values", TensorProto.FLOAT, ["rows", 3, 4, 4])]
    graph = helper.make_graph(nodes, "pictures", given, [value("logits", TensorProto.FLOAT, ["rows", 3])], [axes])
    artifact = tiny.saved(
        folder / "made",
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]),
        (TensorSpec(name="pixel_values", dtype="float32", shape=("rows", 3, 4, 4)),),
    )
    texts = [base64.b64encode(picture(COLOURS[row % 3], 5 + row)).decode() for row in range(40)]
    inputs = (TensorSpec(name="image", dtype="string", shape=("rows",)),)
    return tiny.pieces_of(folder, "pictures", artifact, inputs, {"image": np.array(texts)}, Image(), Task.CLASSIFICATION)


def sentences(folder: Path) -> tiny.Pieces:
    """A sentence → how it feels: by its sun and its rain."""
    tokenizer: dict[str, Any] = {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: at for at, word in enumerate(WORDS)}, "unk_token": "[UNK]"},
    }  # fmt: skip
    files = {"tokenizer.json": tokenizer, "tokenizer_config.json": {"pad_token": "[PAD]", "model_max_length": 16}}
    _describe(folder, "tokenizer", files, "text-classification", FEELINGS)
    weights = np.zeros((len(WORDS), 2), np.float32)
    weights[WORDS.index("rain"), 0] = weights[WORDS.index("sun"), 1] = 1
    nodes = [
        helper.make_node("Gather", ["weights", "input_ids"], ["each"]),
        helper.make_node("ReduceSum", ["each", "axes"], ["logits"], keepdims=0),
    ]
    fixed = [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([1], np.int64), "axes")]
    given = [value("input_ids", TensorProto.INT64, ["rows", "sequence"])]
    graph = helper.make_graph(nodes, "sentences", given, [value("logits", TensorProto.FLOAT, ["rows", 2])], fixed)
    artifact = tiny.saved(
        folder / "made",
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]),
        (TensorSpec(name="input_ids", dtype="int64", shape=("rows", "sequence")),),
    )
    texts = [" and ".join(WORDS[2 + (row + word) % 2] for word in range(1 + row % 5)) for row in range(40)]
    inputs = (TensorSpec(name="text", dtype="string", shape=("rows",)),)
    return tiny.pieces_of(folder, "sentences", artifact, inputs, {"text": np.array(texts)}, Text(), Task.CLASSIFICATION)


def picture(colour: str, size: int = 8, format: str = "PNG") -> bytes:
    """A file of one colour."""
    stream = io.BytesIO()
    Pillow.new("RGB", (size, size), colour).save(stream, format)
    return stream.getvalue()


def _describe(folder: Path, component: str, files: dict[str, Any], task: str, labels: tuple[str, ...]) -> None:
    """A transformers model's own files, but for its weights."""
    (folder / "components" / component).mkdir(parents=True)
    (folder / "model").mkdir()
    for name, content in files.items():
        (folder / "components" / component / name).write_text(json.dumps(content))
    config = {"model_type": "bert", "id2label": dict(enumerate(labels)), "max_position_embeddings": 16}
    (folder / "model" / "config.json").write_text(json.dumps(config))
    flavours = {"python_function": {}, "transformers": {"task": task, "model_binary": "model", "tokenizer_type": "T"}}
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours}))
