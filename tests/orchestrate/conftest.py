"""Flows of these tests run on one standing server."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.standing_server import connected


class Seen:
    """What the server knows."""

    def __init__(self, url: str) -> None:
        self.url = url

    def ask(self, what: str, **filters: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - the API's JSON
        found = httpx.post(f"{self.url}/{what}/filter", json=filters, trust_env=False)
        found.raise_for_status()
        return list(found.json())

    def flow_run(self, name: str) -> dict[str, Any]:
        """The newest of that name."""
        return self.ask("flow_runs", flow_runs={"name": {"any_": [name]}}, sort="EXPECTED_START_TIME_DESC")[0]

    def task_runs(self, flow_run: dict[str, Any]) -> list[dict[str, Any]]:
        """In the order in which they began."""
        return self.ask("task_runs", flow_runs={"id": {"any_": [flow_run["id"]]}}, sort="EXPECTED_START_TIME_ASC")


@pytest.fixture
def seen(home: Path, tmp_path: Path) -> Iterator[Seen]:
    """Flows go to the server, and what it saw of them."""
    with connected(tmp_path / "prefect") as url:
        yield Seen(url)
