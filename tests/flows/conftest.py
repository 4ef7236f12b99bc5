"""Deployments of these tests are on one standing server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.standing_server import connected


@pytest.fixture
def server(home: Path, tmp_path: Path) -> Iterator[str]:
    """The address of its API."""
    with connected(tmp_path / "prefect") as url:
        yield url
