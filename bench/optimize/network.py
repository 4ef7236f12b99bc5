"""ResNet-18, with random weights and batch-norm statistics of real photographs: what INT8 does to a large CNN."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

CLASSES = 1000
SIDE = 224
SMALLEST = 96
"""Pixels of a crop's side, before it is brought to `SIDE`, at least."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's channels, as torchvision's weights want them."""


class Block(nn.Module):  # type: ignore[misc]
    """Two 3 × 3 convolutions beside a shortcut (He et al. 2016, Deep Residual Learning, fig. 2)."""

    def __init__(self, taken: int, given: int, stride: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(taken, given, 3, stride, 1, bias=False)
        self.one_norm = nn.BatchNorm2d(given)
        self.two = nn.Conv2d(given, given, 3, 1, 1, bias=False)
        self.two_norm = nn.BatchNorm2d(given)
        self.shortcut = nn.Sequential()
        if stride != 1 or taken != given:
            self.shortcut = nn.Sequential(nn.Conv2d(taken, given, 1, stride, bias=False), nn.BatchNorm2d(given))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = torch.relu(self.one_norm(self.one(x)))
        return torch.relu(self.two_norm(self.two(found)) + self.shortcut(x))


class ResNet18(nn.Module):  # type: ignore[misc]
    """Images of shape (rows, 3, 224, 224) → logits of shape (rows, 1000)."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        widths = (64, 64, 128, 256, 512)
        blocks: list[nn.Module] = []
        for number in range(1, 5):
            blocks += [Block(widths[number - 1], widths[number], 1 if number == 1 else 2)]
            blocks += [Block(widths[number], widths[number], 1)]
        self.blocks = nn.Sequential(*blocks)
        self.last = nn.Linear(widths[-1], CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.blocks(self.stem(image)).mean((2, 3)))


def resnet18(images: np.ndarray) -> ResNet18:
    """The network with He's random weights, and batch-norm statistics which are those of the images."""
    torch.manual_seed(0)
    network = ResNet18()
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over the batches
    with torch.no_grad():
        network.train()
        for start in range(0, len(images), 32):
            network(torch.from_numpy(images[start : start + 32]))
    network.eval()
    return network


def logits(network: ResNet18, images: np.ndarray) -> np.ndarray:
    """What it answers, of shape (rows, 1000)."""
    with torch.no_grad():
        parts = [network(torch.from_numpy(images[start : start + 32])) for start in range(0, len(images), 32)]
    found: np.ndarray = torch.cat(parts).numpy()
    return found


def crops(count: int, seed: int) -> np.ndarray:
    """Square crops of scikit-learn's two photographs, in turn, of any size and place, of shape (count, 3, 224, 224)."""
    from sklearn.datasets import load_sample_image

    random = np.random.default_rng(seed)
    photographs = [load_sample_image(name) for name in ("china.jpg", "flower.jpg")]
    return np.stack([_crop(photographs[number % 2], random) for number in range(count)])


def _crop(photograph: np.ndarray, random: np.random.Generator) -> np.ndarray:
    from PIL import Image

    side = int(random.integers(SMALLEST, min(photograph.shape[:2]) + 1))
    top, left = (int(random.integers(0, size - side + 1)) for size in photograph.shape[:2])
    cut = Image.fromarray(photograph[top : top + side, left : left + side]).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    if random.random() < 0.5:
        cut = cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    scaled = (np.asarray(cut, np.float32) / 255 - _channels(MEAN)) / _channels(DEVIATION)
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def _channels(values: Sequence[float]) -> Any:  # noqa: ANN401 - a numpy array that any array can be divided by
    return np.asarray(values, np.float32)
