"""The steps of the line as Prefect's task runs."""

from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE

from fdpipe.errors import StoreError
from fdpipe.progress import name_of

P = ParamSpec("P")
T = TypeVar("T")

RETRIES = {"fetch": 2, "deploy": 2}
"""Only these ask something outside of this machine, or start a process."""

RETRY_DELAY_S = 2


def as_task(step: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a step as a task run of its name (`fdpipe.trials.Call`); our store remembers results, Prefect does not."""
    name = name_of(step)

    def work() -> T:
        return step(*args, **kwargs)

    named = task(
        name=name,
        task_run_name=lambda: name,
        cache_policy=NO_CACHE,
        persist_result=False,
        retries=RETRIES.get(name, 0),
        retry_delay_seconds=RETRY_DELAY_S,
        retry_condition_fn=_may_pass,
    )
    return named(work)()


def _may_pass(task: Any, run: Any, state: Any) -> bool:  # noqa: ANN401 - Prefect's own types are generic in the task's
    """Whether the failure came from a connection that was refused, lost or too slow; any other would only come again."""
    error = state.result(raise_on_failure=False)
    return not isinstance(error, StoreError) and any(isinstance(one, ConnectionError | TimeoutError) for one in _causes(error))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
