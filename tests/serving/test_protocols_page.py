"""The curl lines of docs/protocols.md, run as they stand there but for the port."""

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.serving import raw
from tests.serving.conftest import Served

PAGE = Path(__file__).parents[2] / "docs" / "protocols.md"
LINES = re.findall(r"^curl .*$", PAGE.read_text(), re.MULTILINE)


def asked(line: str, served: Served, folder: Path) -> object:
    """What comes back, with 200."""
    there = re.sub(r"localhost:300(\d)", lambda port: f"127.0.0.1:{served.port + int(port[1])}", line)
    done = subprocess.run(
        [*shlex.split(there), "-sS", "--fail-with-body"], capture_output=True, cwd=folder, timeout=60, check=False
    )
    assert done.returncode == 0, (line, done.stdout, done.stderr)
    return json.loads(done.stdout)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_every_line_is_answered(digits: Served, sentences: Served, pictures: Served, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(raw.picture("green"))
    assert len(LINES) == 8
    for line in LINES:
        texts = "sentences" in line or "text/plain" in line
        found = asked(line, pictures if "picture.png" in line else sentences if texts else digits, tmp_path)
        assert isinstance(found, dict)
        assert {"outputs", "predictions", "label"} & found.keys()


def test_every_example_is_there() -> None:
    for path in re.findall(r"\]\((clients/[^)]+)\)", PAGE.read_text()):
        assert (PAGE.parent / path).is_file(), path
