"""The error tree and its exit codes, which are part of the command line's contract."""

import re

import pytest

from fdpipe import errors
from fdpipe.errors import GRAVEST_FIRST, Exit, FdpipeError, among

TREE = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, FdpipeError)]


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = re.findall(r"(\w+) +(\d+)  ", errors.__doc__ or "")
    assert {name: int(code) for name, code in drawn} == {kind.__name__: int(kind.exit_code) for kind in TREE}


def test_every_exit_code_has_its_place_among_the_gravest() -> None:
    assert sorted(GRAVEST_FIRST) == sorted(Exit)
    assert [int(code) for code in GRAVEST_FIRST] == [130, 1, 6, 5, 4, 3, 2, 12, 11, 10, 0]


@pytest.mark.parametrize(
    ("wrong", "choices", "expected"),
    [
        ("qality", ["quality", "speed"], "choose from quality, speed (did you mean quality?)"),
        ("xyz", ["speed", "quality"], "choose from quality, speed"),
        ("xyz", [], "there is nothing to choose from"),
    ],
)
def test_a_wrong_name_is_told_what_there_is(wrong: str, choices: list[str], expected: str) -> None:
    assert among(wrong, choices) == expected
