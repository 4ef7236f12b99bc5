"""What README promises: its Python runs, its table of commands and its exit codes are the program's."""

import os
import re
import subprocess
import sys
from pathlib import Path

from bench.reference import page
from fdpipe import config
from fdpipe.cli.commands import cli
from fdpipe.errors import Exit
from fdpipe.standard import standard_plan
from fdpipe.training import train

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_python_example_runs_without_hydra_and_prefect(home: Path) -> None:
    train("digits", ROOT)
    (example,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in example.splitlines() if line]) <= 10
    code = example + "\nimport sys; print('imported:', sorted({'hydra', 'omegaconf', 'prefect'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], cwd=home, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "onnxruntime/fused {'accuracy': 0.9" in done.stdout
    assert done.stdout.splitlines()[-1] == "imported: []"


def test_the_standard_plan_is_what_the_command_line_composes(tmp_path: Path) -> None:
    composed = config.load(["model=digits@candidate", "+target=cpu", "orchestrator=none"], project=tmp_path)
    assert standard_plan("digits@candidate").to_json() == composed.to_json()


def test_every_command_is_in_its_table() -> None:
    missing = [name for name in cli.commands if f"`{name}" not in README and f"fdpipe {name}" not in README]
    assert missing == []


def test_every_exit_code_is_in_its_table() -> None:
    codes = {int(code) for code in re.findall(r"\| (\d+) \|", README)}
    assert codes >= {int(code) for code in Exit}


def test_its_links_lead_somewhere() -> None:
    assert [link for link in _links(README) if not (ROOT / link).exists()] == []


def test_the_reference_is_up_to_date() -> None:
    assert (ROOT / "docs" / "reference.md").read_text() == page(), "run `make docs`"


def test_the_guide_links_to_pages_that_exist() -> None:
    pages = list((ROOT / "docs").glob("*.md"))
    broken = [(path.name, link) for path in pages for link in _links(path.read_text()) if not (path.parent / link).exists()]
    assert broken == []


def _links(text: str) -> list[str]:
    return re.findall(r"\]\((?!https?:)([^)#]+)", text)
