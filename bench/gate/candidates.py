"""Made-up candidates of which the true loss is known: what a gate must not let through more often than it says."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fdpipe.evidence import Paired
from fdpipe.interfaces import Metric
from fdpipe.metric.accuracy import Accuracy
from fdpipe.metric.auroc import Auroc
from fdpipe.metric.f1 import F1
from fdpipe.metric.log_loss import LogLoss
from fdpipe.metric.mae import Mae
from fdpipe.metric.rmse import Rmse

MANY = 2_000_000
"""Rows from which a true loss is computed where there is no formula."""

Draw = Callable[[np.random.Generator, int], Paired]


@dataclass(frozen=True, kw_only=True)
class World:
    """Rows drawn with two models' answers to them; `drop` is the true loss of `metric`, where None computed from many rows."""

    name: str
    metric: Metric
    draw: Draw
    drop: float | None = None
    relative: bool = False

    def true_drop(self) -> float:
        """What the candidate really loses."""
        if self.drop is not None:
            return self.drop
        paired = self.draw(np.random.default_rng(1), MANY)
        truth = paired.truth(self.metric)
        assert truth is not None
        before, after = self.metric.score(paired.before, truth), self.metric.score(paired.after, truth)
        fall = before - after if self.metric.higher_is_better else after - before
        return fall / abs(before) if self.relative else fall


def right_or_wrong(lost: float, gained: float) -> Draw:
    """Labels of which the candidate loses and gains these shares."""

    def draw(random: np.random.Generator, rows: int) -> Paired:
        chance, ones = random.random(rows), np.ones(rows, np.int64)
        before, after = np.where(chance < lost, 1, 0), np.where((chance >= lost) & (chance < lost + gained), 1, 0)
        rest = (chance > 0.95).astype(np.int64)
        before, after = np.maximum(before, rest), np.maximum(after, rest)
        return _labels(before, after, ones)

    return draw


def classes(shares: tuple[float, ...], wrong: float, changed: float, back: float = 0.0) -> Draw:
    """Labels of classes that are so frequent: the original answers `wrong` at random, and the candidate another class in
    `changed` of its rows, and rightly in `back` of those that were wrong."""

    def draw(random: np.random.Generator, rows: int) -> Paired:
        labels = random.choice(len(shares), rows, p=shares)

        def other(of: np.ndarray) -> np.ndarray:
            return (of + random.integers(1, len(shares), rows)) % len(shares)

        before = np.where(random.random(rows) < wrong, other(labels), labels)
        after = np.where(random.random(rows) < changed, other(before), before)
        after = np.where((before != labels) & (random.random(rows) < back), labels, after)
        return _labels(before, after, labels)

    return draw


def as_good(shares: tuple[float, ...], wrong: float, own: float) -> Draw:
    """Labels of classes that are so frequent, of which both models answer `wrong` at random, and each a share of its `own`."""

    def draw(random: np.random.Generator, rows: int) -> Paired:
        labels = random.choice(len(shares), rows, p=shares)
        both = np.where(random.random(rows) < wrong, random.integers(0, len(shares), rows), labels)
        each = [np.where(random.random(rows) < own, random.integers(0, len(shares), rows), both) for _ in range(2)]
        return _labels(each[0], each[1], labels)

    return draw


def values(noise: float, heavy: bool = False, rare: float = 0.0) -> Draw:
    """A value beside its label: the original errs by 1, the candidate by `noise` more, from a heavy tail (Student's t with 5
    degrees of freedom), and in a share of `rare` rows it answers like another row."""

    def draw(random: np.random.Generator, rows: int) -> Paired:
        labels = random.normal(0, 2, rows)
        errors = random.standard_t(5, (2, rows)) / np.sqrt(5 / 3) if heavy else random.normal(0, 1, (2, rows))
        before = labels + errors[0]
        after = np.where(random.random(rows) < rare, random.normal(0, 2, rows), before + noise * errors[1])
        return Paired(before={"value": before}, after={"value": after}, labels=labels, own=before)

    return draw


def probabilities(noise: float, rare: float = 0.0) -> Draw:
    """Two classes with probabilities: the candidate's logit has `noise` more, and in a share of `rare` rows another row's."""

    def draw(random: np.random.Generator, rows: int) -> Paired:
        labels = random.integers(0, 2, rows)
        before = random.normal(3 * (2 * labels - 1), 2.0)
        after = before + noise * random.normal(0, 1, rows)
        after = np.where(random.random(rows) < rare, random.permutation(after), after)
        return Paired(before=_two(before), after=_two(after), labels=labels, own=(before > 0).astype(np.int64))

    return draw


def _two(logits: np.ndarray) -> dict[str, np.ndarray]:
    share = 1 / (1 + np.exp(-logits))
    return {"label": (logits > 0).astype(np.int64), "probabilities": np.stack([1 - share, share], axis=1)}


def _labels(before: np.ndarray, after: np.ndarray, labels: np.ndarray) -> Paired:
    return Paired(before={"label": before}, after={"label": after}, labels=labels, own=before)


AT_THE_LIMIT = (
    (World(name="accuracy, all loss", metric=Accuracy(), draw=right_or_wrong(0.01, 0.0), drop=0.01), (300, 475, 719, 2000)),
    (World(name="accuracy, 2 % disagree", metric=Accuracy(), draw=right_or_wrong(0.015, 0.005), drop=0.01), (300, 719, 2000)),
    (World(name="accuracy, 10 % disagree", metric=Accuracy(), draw=right_or_wrong(0.055, 0.045), drop=0.01), (100, 719, 2000)),
    (World(name="accuracy, 40 % disagree", metric=Accuracy(), draw=right_or_wrong(0.205, 0.195), drop=0.01), (30, 719)),
    (World(name="F1, two classes, 5 % positive", metric=F1(), draw=classes((0.95, 0.05), 0.03, 0.01)), (200, 1000)),
    (World(name="F1, ten classes", metric=F1(), draw=classes((0.1,) * 10, 0.03, 0.01)), (300, 1000)),
    (World(name="F1, ten classes, as many back", metric=F1(), draw=classes((0.1,) * 10, 0.05, 0.02, 0.3)), (300, 1000)),
    (World(name="RMSE, normal", metric=Rmse(), draw=values(0.3), relative=True), (30, 150, 1000)),
    (World(name="RMSE, heavy tails", metric=Rmse(), draw=values(0.3, heavy=True), relative=True), (50, 150, 1000)),
    (World(name="RMSE, 1 in 100 rows garbage", metric=Rmse(), draw=values(0.02, rare=0.01), relative=True), (50, 150, 1000)),
    (World(name="MAE, normal", metric=Mae(), draw=values(0.3), relative=True), (30, 150, 1000)),
    (World(name="MAE, 1 in 100 rows garbage", metric=Mae(), draw=values(0.02, rare=0.01)), (50, 150, 1000)),
    (World(name="log loss", metric=LogLoss(), draw=probabilities(1.0)), (50, 200, 1000)),
    (World(name="log loss, 1 in 200 rows garbage", metric=LogLoss(), draw=probabilities(0.05, rare=0.005)), (200, 1000)),
    (World(name="AUROC", metric=Auroc(), draw=probabilities(1.0)), (100, 400)),
    (World(name="AUROC, 1 in 100 rows garbage", metric=Auroc(), draw=probabilities(0.05, rare=0.01)), (100, 400)),
)
"""Worlds in which the candidate loses exactly what is allowed, with numbers of rows."""

NO_DROP = (
    (World(name="accuracy, all alike", metric=Accuracy(), draw=right_or_wrong(0.0, 0.0)), 0.01, 40, 299),
    (World(name="accuracy, 1 % disagree", metric=Accuracy(), draw=right_or_wrong(0.005, 0.005)), 0.01, 40, 1200),
    (World(name="accuracy, 10 % disagree", metric=Accuracy(), draw=right_or_wrong(0.05, 0.05)), 0.01, 40, 10_000),
    (World(name="F1, ten classes", metric=F1(), draw=as_good((0.1,) * 10, 0.03, 0.005)), 0.01, 40, 1500),
    (World(name="RMSE, normal", metric=Rmse(), draw=values(0.02), relative=True), 0.05, 40, 1000),
    (World(name="RMSE, heavy tails", metric=Rmse(), draw=values(0.02, heavy=True), relative=True), 0.05, 40, 1000),
    (World(name="MAE, normal", metric=Mae(), draw=values(0.02), relative=True), 0.05, 40, 1000),
    (World(name="log loss", metric=LogLoss(), draw=probabilities(0.05)), 0.05, 40, 2000),
    (World(name="AUROC", metric=Auroc(), draw=probabilities(0.05)), 0.02, 40, 1000),
)
"""Worlds in which the candidate loses nothing worth speaking of: the limit, too few rows, and enough."""
