"""Small networks in torch, trained on the bundled digits."""

from typing import Any

import numpy as np
import torch
from torch import nn

EPOCHS = 30


def as_image(digits: np.ndarray) -> np.ndarray:
    """64 grey values → one channel of 32 × 32 pixels."""
    return np.kron(digits.reshape(-1, 1, 8, 8), np.ones((1, 1, 4, 4), np.float32))


def as_sequence(digits: np.ndarray) -> np.ndarray:
    """64 grey values → 16 tokens of 4."""
    return digits.reshape(-1, 16, 4)


class Convolutions(nn.Module):  # type: ignore[misc]
    """Images of shape (rows, 1, 32, 32) → logits of 10 classes."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for taken, given in ((1, 32), (32, 64), (64, 64)):
            layers += [nn.Conv2d(taken, given, 3, padding=1), nn.BatchNorm2d(given), nn.ReLU(), nn.MaxPool2d(2)]
        self.layers = nn.Sequential(*layers)
        self.last = nn.Linear(64 * 16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.layers(image).flatten(1))


class Attention(nn.Module):  # type: ignore[misc]
    """Sequences of shape (rows, 16, 4) → logits of 10 classes (Vaswani et al. 2017, the encoder)."""

    WIDTH, HEADS = 96, 4

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, self.WIDTH)
        self.place = nn.Parameter(torch.randn(1, 16, self.WIDTH) * 0.1)
        self.layers = nn.ModuleList(_Layer(self.WIDTH, self.HEADS) for _ in range(2))
        self.last = nn.Linear(self.WIDTH, 10)

    def forward(self, sequence: torch.Tensor) -> torch.Tensor:
        found = self.first(sequence) + self.place
        for layer in self.layers:
            found = layer(found)
        return self.last(found.mean(1))


class _Layer(nn.Module):  # type: ignore[misc]
    """Attention and a network of two layers, each beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.asked, self.mixed = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.inner = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = self.asked(self.before(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        query, key, value = parts[0], parts[1], parts[2]
        weights = torch.softmax(query @ key.transpose(2, 3) / query.shape[-1] ** 0.5, dim=3)
        x = x + self.mixed((weights @ value).transpose(1, 2).flatten(2))
        return x + self.inner(self.between(x))


def trained(module: Any, features: np.ndarray, labels: np.ndarray) -> Any:  # noqa: ANN401 - a module
    """By Adam, in batches of 64."""
    torch.manual_seed(0)
    for one in module.modules():
        if hasattr(one, "reset_parameters"):
            one.reset_parameters()
    optimizer = torch.optim.Adam(module.parameters(), 2e-3)
    given, wanted = torch.from_numpy(features), torch.from_numpy(labels)
    for epoch in range(EPOCHS):
        order = torch.from_numpy(np.random.default_rng(epoch).permutation(len(given)))
        for rows in order.split(64):
            loss = nn.functional.cross_entropy(module(given[rows]), wanted[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return module.eval()
