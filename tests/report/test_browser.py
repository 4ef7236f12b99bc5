"""The page in a real browser: nothing is wider than a telephone's screen, and the dark scheme is dark."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fdpipe.artifacts import Record
from fdpipe.report import write_report
from fdpipe.store import LocalStore
from tests.report import example, example_crowd, example_gate, example_search

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--allow-file-access-from-files", "--dump-dom",
)  # fmt: skip

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: the page cannot be looked at")

WIDTHS = (390, 1280)
"""A telephone's and a computer's, in pixels."""

FRAME = """{frames}
<script>onload = () => {{
  const found = [];
  for (const frame of document.querySelectorAll("iframe")) {{
    const inside = frame.contentDocument;
    for (const one of inside.querySelectorAll("details")) one.open = true;
    const clipped = [...inside.querySelectorAll("td > span, dd, h1, h3, p, li")].filter(one => {{
      const place = one.getBoundingClientRect();
      return place.width && place.right > frame.clientWidth && !one.closest(".scroll");
    }});
    const colour = getComputedStyle(inside.body).backgroundColor;
    found.push(`width=${{inside.scrollingElement.scrollWidth}} clipped=${{clipped.length}} colour=${{colour}};`);
  }}
  document.body.textContent = found.join(" ");
}}</script>"""


def look(folder: Path, record: Record, widths: tuple[int, ...], *flags: str) -> list[tuple[int, int, str]]:
    """For each width of a screen in pixels, with everything unfolded: the width that the page takes there, how many texts
    stand out over its right edge, and its colour. The screen is a frame: Chromium's own window cannot be as narrow as a
    telephone."""
    write_report(record, example.plan(), example.events(), folder, LocalStore(folder / "store"))
    frames = [f'<iframe style="width: {width}px; height: 800px; border: 0" src="report.html"></iframe>' for width in widths]
    (folder / "frame.html").write_text(FRAME.format(frames="".join(frames)))
    assert CHROMIUM is not None
    command = [CHROMIUM, *FLAGS, *flags, f"--user-data-dir={folder / 'profile'}", (folder / "frame.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    found = re.findall(r"width=(\d+) clipped=(\d+) colour=([^;]+);", done.stdout)
    assert len(found) == len(widths)
    return [(int(width), int(clipped), colour) for width, clipped, colour in found]


RECORDS = {
    "cured": example.cured(),
    "crowded": example_crowd.crowded(),
    "gated": example_gate.gated(),
    "rejected": example.rejected(),
    "searched": example_search.searched(),
    "undecided": example_gate.undecided(),
}


@pytest.mark.parametrize("record", RECORDS.values(), ids=RECORDS)
def test_it_never_scrolls_sideways(tmp_path: Path, record: Record) -> None:
    for width, (taken, clipped, _) in zip(WIDTHS, look(tmp_path, record, WIDTHS), strict=True):
        assert taken <= width
        assert clipped == 0


def test_it_is_dark_where_the_reader_likes_that(tmp_path: Path) -> None:
    for flag, colour in (("0", "rgb(19, 20, 22)"), ("1", "rgb(247, 247, 245)")):
        found = look(tmp_path, example.deployed(), (390,), f"--blink-settings=preferredColorScheme={flag}")
        assert [one[-1] for one in found] == [colour]
