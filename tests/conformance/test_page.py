"""The page about conformance, against the program and the tests that there are."""

import subprocess
import sys

from bench.conformance import PAGE, ROOT, named_tests, page


def test_it_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_each_test_that_it_names_exists() -> None:
    files = sorted({one.partition("::")[0] for one in named_tests()})
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-m", "", "-p", "no:cacheprovider", *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    collected = {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}
    assert set(named_tests()) - collected == set()
