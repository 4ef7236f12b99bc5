"""A line of fakes: a plan of them, and a way to run it that builds nothing and starts no service."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

from fdpipe import progress, workers
from fdpipe.artifacts import Baseline, Proof, Release, SourceModel, Trial
from fdpipe.content import fingerprint
from fdpipe.plan import Benchmark, DataPlan, Plan, Recipe, Target
from fdpipe.stages.package import ReleaseOrder
from fdpipe.testing import (
    FakeCheck,
    FakeConverter,
    FakeDataset,
    FakeDeployer,
    FakeMetric,
    FakePass,
    FakeProcessor,
    FakeRuntime,
    FakeSearch,
    FakeSource,
)

P = ParamSpec("P")
T = TypeVar("T")


def fake_plan(**changes: Any) -> Plan:  # noqa: ANN401 - any field of Plan
    """A plan of fakes: the model as it is beside one that takes half the time, on the target `here`."""
    return replace(
        Plan(
            model="fake@candidate",
            target=Target(name="here", runtimes=("fake", "other")),
            source=FakeSource(),
            data=DataPlan(evaluation=FakeDataset(), calibration=FakeDataset(seed=1)),
            converter={"fake": FakeConverter()},
            processor={"fake": FakeProcessor()},
            runtime={"fake": FakeRuntime()},
            recipe={"none": Recipe(), "half": Recipe(passes=(FakePass(share=0.5),))},
            search=FakeSearch(),
            metric={"accuracy": FakeMetric()},
            gate={"floor": FakeCheck()},
            deployer=FakeDeployer(),
            certifier=FakeRuntime(),
            benchmark=Benchmark(batch_sizes=(1,), seconds=0.01, trial_seconds=0.01, warmup_calls=1, memory=False),
        ),
        **changes,
    )


@dataclass(kw_only=True)
class Rehearsal:
    """A way to call the steps of the line (`fdpipe.trials.Call`) that plays `package` and `prove`: nothing is built, no
    service is started. `steps` collects the names of the steps; the candidates in `unproven` fail their proof."""

    unproven: tuple[str, ...] = ()
    steps: list[str] = field(default_factory=list)

    def __call__(self, step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call it, or play it."""
        name = progress.name_of(step)
        self.steps.append(name)
        played: dict[str, Callable[..., Any]] = {"package": self._package, "prove": self._prove}
        if name not in played:
            return step(*args, **kwargs)
        with progress.step(name):
            found: T = played[name](*args)
            return found

    def _package(
        self, store: object, order: ReleaseOrder, model: SourceModel, baseline: Baseline, chosen: Trial, *_: object
    ) -> Release:
        if chosen.artifact is None:
            raise ValueError(f"{chosen.candidate.name} has no model")
        path = chosen.artifact.path
        return Release(
            service=order.service, model=model.ref, target=order.target, candidate=chosen.candidate,
            digest=fingerprint(chosen.artifact.digest, chosen.candidate), path=path.parent, manifest=path, golden=path,
            artifact=chosen.artifact, processor=baseline.processor, runtime=workers.spec("runtime", order.runtime),
            task=baseline.task,
        )  # fmt: skip

    def _prove(self, store: object, release: Release, wanted: object) -> Proof:
        wrong = int(release.candidate.name in self.unproven)
        reason = f"{1 - wrong} of 1 golden requests were answered rightly"
        return Proof(
            release=release.digest, requests=1, wrong=wrong, protocols=("rehearsal",), largest_difference=0.0, reason=reason
        )
