"""The page in a real browser: nothing is wider than a telephone's screen, and the dark scheme is dark."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fdpipe.artifacts import Record
from fdpipe.report import write_report
from fdpipe.store import LocalStore
from tests.report import example, example_search

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--allow-file-access-from-files", "--dump-dom",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page cannot be looked at")

FRAME = """<iframe style="width: {width}px; height: 800px; border: 0" src="report.html"></iframe>
<script>onload = () => {{
  const inside = document.querySelector("iframe").contentDocument;
  for (const one of inside.querySelectorAll("details")) one.open = true;
  const colour = getComputedStyle(inside.body).backgroundColor;
  document.body.textContent = `width=${{inside.scrollingElement.scrollWidth}} colour=${{colour}}`;
}}</script>"""


def look(folder: Path, record: Record, width: int, *flags: str) -> str:
    """The width that the page takes on a screen of `width` pixels, and its colour. The screen is a frame: Chromium's own
    window cannot be as narrow as a telephone."""
    write_report(record, example.plan(), example.events(), folder, LocalStore(folder / "store"))
    (folder / "frame.html").write_text(FRAME.format(width=width))
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize(
    "record",
    [example.deployed(), example.rejected(), example.cured(), example_search.searched()],
    ids=["deployed", "rejected", "cured", "searched"],
)
def test_it_never_scrolls_sideways(tmp_path: Path, record: Record, width: int) -> None:
    found = re.search(r"width=(\d+)", look(tmp_path, record, width))
    assert found is not None
    assert int(found[1]) <= width


def test_it_is_dark_where_the_reader_likes_that(tmp_path: Path) -> None:
    assert "colour=rgb(19, 20, 22)" in look(tmp_path, example.deployed(), 390, "--blink-settings=preferredColorScheme=0")
    assert "colour=rgb(247, 247, 245)" in look(tmp_path, example.deployed(), 390, "--blink-settings=preferredColorScheme=1")
