"""What a child can import of ours: fdpipe and its plug-ins, and nothing that lies beside them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from fdpipe import workers
from fdpipe.artifacts import SourceModel
from fdpipe.isolation import opened, sources
from fdpipe.plan import Conversion
from tests.isolation.conftest import ROWS

CONVERTER = """
from dataclasses import dataclass
from fdpipe.testing import FakeConverter
import numpy as np
from lodger.inner import TEXT

@dataclass(frozen=True, kw_only=True)
class Own(FakeConverter):
    word: str = ""

    def predict(self, model, original, features):
        return {"said": np.array([TEXT + self.word])}
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[None]:
    """An installed plug-in `lodger`, with the converter `own`; `stranger` lies beside it."""
    site = tmp_path / "site"
    files = {
        "lodger/__init__.py": "",
        "lodger/inner.py": "TEXT = 'own '\n",
        "lodger/converter/__init__.py": "",
        "lodger/converter/own.py": CONVERTER,
        "stranger.py": "",
        "single.py": "",
        "lodger-1.dist-info/METADATA": "Metadata-Version: 2.1\nName: lodger\nVersion: 1\n",
        "lodger-1.dist-info/entry_points.txt": "[fdpipe.plugins]\nlodger = lodger\nsingle = single\n",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(text)
    sys.path.insert(0, str(site))
    workers.plugin_packages.cache_clear()
    yield
    sys.path.remove(str(site))
    workers.plugin_packages.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "lodger"]:
        del sys.modules[name]


@pytest.mark.usefixtures("plugin")
def test_a_plug_ins_converter_runs_in_the_child(model: SourceModel, tmp_path: Path) -> None:
    converter = workers.build("converter", {"_target_": "lodger.converter.own.Own", "word": "words"})
    (tmp_path / "scratch").mkdir()
    with opened(converter, model, Conversion(), tmp_path / "scratch") as original:
        np.testing.assert_array_equal(original.predict(ROWS)["said"], ["own words"])


@pytest.mark.usefixtures("plugin")
def test_only_trusted_packages_are_offered(tmp_path: Path) -> None:
    sources.offer(tmp_path / "offered")
    assert {path.name for path in (tmp_path / "offered").iterdir() if path.suffix != ".dist-info"} == {
        "fdpipe", "lodger", "single.py"
    }  # fmt: skip
    code = "from fdpipe import workers; print(*workers.trusted_packages(), workers.__file__)"
    environment = {"PYTHONPATH": str(tmp_path / "offered"), "PATH": os.environ["PATH"]}
    said = subprocess.run(
        [sys.executable, "-P", "-c", code], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert said.split() == ["fdpipe", "fdpipe.testing", "lodger", "single", f"{tmp_path}/offered/fdpipe/workers.py"]
