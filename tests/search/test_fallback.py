"""Which nodes go back to float: against an exhaustive search, in worlds in which the noise is known up to some decibels."""

import itertools
from dataclasses import dataclass

import numpy as np
import pytest

from fdpipe.artifacts import NodeLoss
from fdpipe.search._fallback import Ground, Seen, next_floats

ROUNDS = 12
FIRST_WITHIN = 5
"""So many sets are asked about at most until one passes, of up to 2 ** (FIRST_WITHIN - 1) nodes."""


@dataclass(frozen=True, kw_only=True)
class Hidden:
    """A quantized model: what each node loses, of which no more than `allowed` may stay, and what its return to float costs."""

    loss: np.ndarray
    work: np.ndarray
    allowed: float
    gain: float

    @classmethod
    def drawn(cls, seed: int, nodes: int = 8) -> "Hidden":
        """Losses over several orders of magnitude, so that a few nodes are the bad ones."""
        random = np.random.default_rng(seed)
        loss, work = np.exp(random.normal(0, 2, nodes)), np.exp(random.normal(0, 0.8, nodes))
        return cls(
            loss=loss / loss.sum(), work=work / work.sum(), allowed=10 ** random.uniform(-2.5, -0.3), gain=random.uniform(2, 4)
        )

    @property
    def names(self) -> list[str]:
        return [f"n{number}" for number in range(len(self.loss))]

    def passes(self, floats: frozenset[str]) -> bool:
        stays = [float(loss) for name, loss in zip(self.names, self.loss, strict=True) if name not in floats]
        return sum(stays) <= self.allowed

    def time(self, floats: frozenset[str]) -> float:
        pairs = zip(self.names, self.work, strict=True)
        return 0.25 + sum(float(work) * (1 if name in floats else 1 / self.gain) for name, work in pairs)

    def seen(self, seed: int, decibels: float) -> Ground:
        """What a measurement node by node shows of it."""
        errors = np.random.default_rng(seed).normal(0, decibels, len(self.loss))
        snr = -10 * np.log10(self.loss) + errors
        nodes = [
            NodeLoss(node=name, operator="MatMul", snr_db=float(one), work=float(work))
            for name, one, work in zip(self.names, snr, self.work, strict=True)
        ]
        return Ground(sorted(nodes, key=lambda one: one.snr_db))

    def best(self) -> float:
        """Every set was tried."""
        every = (frozenset(some) for count in range(len(self.names) + 1) for some in itertools.combinations(self.names, count))
        return min(self.time(floats) for floats in every if self.passes(floats))


def fallen_back(hidden: Hidden, ground: Ground, rounds: int = ROUNDS) -> list[Seen]:
    """The sets that were asked about."""
    seen = [Seen(floats=frozenset(), passes=False)]
    while len(seen) <= rounds and (floats := next_floats(ground, seen)) is not None:
        seen.append(Seen(floats=floats, passes=hidden.passes(floats)))
    return seen[1:]


@pytest.mark.parametrize("decibels", [0.0, 1.0])
def test_comes_within_three_per_cent_of_the_best_in_95_of_100_worlds(decibels: float) -> None:
    worlds = [Hidden.drawn(seed) for seed in range(100)]
    near = 0
    for seed, hidden in enumerate(worlds):
        found = [hidden.time(one.floats) for one in fallen_back(hidden, hidden.seen(seed, decibels)) if one.passes]
        near += min(found) <= 1.03 * hidden.best()
    assert near >= 95


@pytest.mark.parametrize("nodes", [8, 40])
def test_something_passes_within_a_few_rounds(nodes: int) -> None:
    for seed in range(20):
        hidden = Hidden.drawn(seed, nodes)
        first = next(number for number, one in enumerate(fallen_back(hidden, hidden.seen(seed, 2.0)), 1) if one.passes)
        assert first <= FIRST_WITHIN + (nodes > 16)


def test_asks_nothing_twice_and_nothing_that_must_fail() -> None:
    hidden = Hidden.drawn(3)
    asked = fallen_back(hidden, hidden.seen(3, 3.0), rounds=100)
    for number, one in enumerate(asked):
        before = asked[:number]
        assert one.floats not in [other.floats for other in before]
        assert not any(one.floats <= other.floats for other in before if not other.passes), "more in float failed already"


def test_ends_where_even_float_fails() -> None:
    hidden = Hidden(loss=np.ones(4) / 4, work=np.ones(4) / 4, allowed=-1.0, gain=2.0)
    asked = fallen_back(hidden, hidden.seen(0, 0.0), rounds=100)
    assert not any(one.passes for one in asked)
    assert asked[-1].floats == frozenset(hidden.names)


def test_the_worst_come_first_and_of_equals_what_costs_less() -> None:
    nodes = [
        NodeLoss(node="heavy", operator="MatMul", snr_db=6.0, work=0.8),
        NodeLoss(node="bad", operator="MatMul", snr_db=5.0, work=0.2),
        NodeLoss(node="good", operator="MatMul", snr_db=60.0, work=0.0),
    ]
    ground = Ground(nodes)
    assert ground.order == ["bad", "heavy", "good"]
    assert next_floats(ground, [Seen(floats=frozenset(), passes=False)]) == frozenset({"bad"})
    assert next_floats(ground, [Seen(floats=frozenset(), passes=False)], hint=0.1) == frozenset({"bad", "heavy"})


def test_the_divergence_counts_where_it_is_known_of_all() -> None:
    known = [
        NodeLoss(node="loud", operator="MatMul", snr_db=0.0, divergence=0.001, work=0.5),
        NodeLoss(node="quiet", operator="MatMul", snr_db=40.0, divergence=0.5, work=0.5),
    ]
    assert Ground(known).order == ["quiet", "loud"]
    some = [known[0], NodeLoss(node="quiet", operator="MatMul", snr_db=40.0, work=0.5)]
    assert Ground(some).order == ["loud", "quiet"]


def test_without_noise_and_work_every_node_counts_the_same() -> None:
    ground = Ground([NodeLoss(node=name, operator="Add", snr_db=float("inf")) for name in ("a", "b")])
    assert ground.price(frozenset("a")) == 0.5
    assert ground.left(frozenset()) == 0
