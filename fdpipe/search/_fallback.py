"""The accuracy-aware fallback: which nodes of a quantized model go back to float, so that it answers right and stays fast."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fdpipe.artifacts import NodeLoss

WORTH = 0.01
"""A node whose return to 8 bits would save less than this share of the model's work is not asked about."""
GROWTH = 2
"""Each time that a set of nodes was not enough, the next has at least so many times as many."""
REACH, INSIDE, OUTSIDE = 2, 12, 8
"""Around the best set, those are looked at that differ by up to `REACH` nodes from it in each direction, of the `INSIDE`
nodes in it that have most work and the `OUTSIDE` others that mend most."""
LEAST_GAIN = 0.003
"""What may be saved, weighed by how likely it is, must be more than this share of the work."""
STEEPNESS = 4
"""How sharply the likelihood to pass falls, where the share of the noise that stays is beyond what is known to be enough."""
SILENCE = 1e-9
"""No share of the noise is smaller."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came of a set of nodes in float: whether the gate had nothing against the quality."""

    floats: frozenset[str]
    passes: bool


Sets = Sequence[frozenset[str]]


class Ground:
    """The nodes that can be quantized, with the noise that each puts in and the work that its return to float would cost.

    Noise adds up as power (Lin, Talathi, Annapureddy 2016, "Fixed Point Quantization of Deep Convolutional Networks", sec. 4),
    so a set of floats leaves a share of the whole between 1 and 0. Nodes are ordered by noise for each unit of work: the
    first ones mend most at the least cost.
    """

    def __init__(self, nodes: Sequence[NodeLoss]) -> None:
        self.nodes = {one.node: one for one in nodes}
        noise = {one.node: _noise(one, all(other.divergence is not None for other in nodes)) for one in nodes}
        whole, work = sum(noise.values()) or 1.0, sum(max(one.work, 0.0) for one in nodes)
        self.noise = {name: amount / whole for name, amount in noise.items()}
        self.cost = {one.node: max(one.work, 0.0) / work if work else 1 / len(nodes) for one in nodes}
        floor = 0.25 / len(nodes)
        self.order = sorted(self.noise, key=lambda name: (-self.noise[name] / (self.cost[name] + floor), name))

    def left(self, floats: frozenset[str]) -> float:
        """The share of the noise that stays."""
        return sum(amount for name, amount in self.noise.items() if name not in floats)

    def price(self, floats: frozenset[str]) -> float:
        """The share of the work that is done in float."""
        return sum(self.cost.get(name, 0.0) for name in floats)

    def first(self, count: int) -> frozenset[str]:
        """So many of the nodes that mend most."""
        return frozenset(self.order[:count])

    def enough(self, allowed: float) -> int:
        """How many of them leave no more than this share of the noise."""
        return next((count for count in range(len(self.order)) if self.left(self.first(count)) <= allowed), len(self.order))


def next_floats(ground: Ground, seen: Sequence[Seen], hint: float = 0.5) -> frozenset[str] | None:
    """The set to ask about next; None when there is none that is worth it.

    First the set grows, by the share of the noise that may stay, of which `hint` is the first guess, and at least to twice as
    many nodes. Once one passes, the number is halved between the last that did not and the first that did. Then nodes with
    much work go back to 8 bits, alone or in exchange for others, where that is likely enough to pass.
    """
    passing = [one.floats for one in seen if one.passes]
    failing = [one.floats for one in seen if not one.passes]
    if not passing:
        return _grown(ground, failing, hint)
    tried = {one.floats for one in seen}
    best = min(passing, key=lambda floats: (ground.price(floats), len(floats)))
    for floats in (*_halved(ground, passing, failing), *_near(ground, best, passing, failing)):
        if floats not in tried and not any(floats <= one for one in failing):
            return floats
    return None


def _grown(ground: Ground, failing: Sequence[frozenset[str]], hint: float) -> frozenset[str] | None:
    most = max((len(one) for one in failing), default=0)
    if most >= len(ground.order):
        return None
    least = min((ground.left(one) for one in failing), default=1.0)
    allowed = hint if most == 0 else least**2 if least < 1 else 0.25
    return ground.first(max(ground.enough(allowed), most * GROWTH, 1))


def _halved(ground: Ground, passing: Sequence[frozenset[str]], failing: Sequence[frozenset[str]]) -> Iterator[frozenset[str]]:
    """The set in the middle between the largest of the first nodes that failed and the smallest that passed."""
    sizes = range(len(ground.order) + 1)
    enough = min((count for count in sizes if ground.first(count) in passing), default=None)
    if enough is None:
        return
    short = max((count for count in range(enough) if ground.first(count) in failing), default=0)
    least = ground.price(ground.first(enough)) - ground.price(ground.first(short + 1))
    if enough - short > 1 and least > 0:
        yield ground.first((short + enough) // 2)


def _near(ground: Ground, best: frozenset[str], passing: Sequence[frozenset[str]], failing: Sequence[frozenset[str]]) -> Sets:
    """The best set with up to `REACH` nodes back in 8 bits and up to `REACH` others in float in their place, where that saves
    work; first what saves most, weighed by how likely it is to pass."""
    enough = max(ground.left(one) for one in passing)
    too_much = min((ground.left(one) for one in failing), default=1.0)
    border = math.sqrt(max(enough, SILENCE) * max(too_much, SILENCE))
    inside = sorted(best & set(ground.order), key=lambda name: (-ground.cost[name], name))[:INSIDE]
    outside = [name for name in ground.order if name not in best][:OUTSIDE]
    found = []
    for back, other in itertools.product(_some(inside), _some(outside)):
        saved = sum(ground.cost[name] for name in back) - sum(ground.cost[name] for name in other)
        stays = ground.left(best) + sum(ground.noise[name] for name in back) - sum(ground.noise[name] for name in other)
        gain = saved / (1 + (max(stays, 0.0) / border) ** STEEPNESS)
        if saved > WORTH and gain > LEAST_GAIN:
            found.append((-gain, sorted(back), sorted(other)))
    return [(best - set(back)) | set(other) for _, back, other in sorted(found)]


def _some(names: Sequence[str]) -> list[tuple[str, ...]]:
    """None, one, or up to `REACH` of them."""
    return [chosen for count in range(REACH + 1) for chosen in itertools.combinations(names, count)]


def _noise(one: NodeLoss, by_divergence: bool) -> float:
    """Its power: of what it does to the model's answers where that is known, else of what it puts into its own output."""
    if by_divergence and one.divergence is not None:
        return one.divergence**2
    return 10 ** (-one.snr_db / 10) if math.isfinite(one.snr_db) else 0.0
