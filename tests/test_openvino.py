"""OpenVINO and NNCF without what they tell their makers."""

import importlib
import importlib.util
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec

import pytest

from fdpipe.errors import MissingExtra
from fdpipe.openvino import line, quantizer, withheld

MODULE = "this"
"""One of the standard library that nothing needs."""


@pytest.fixture(autouse=True)
def unloaded() -> None:
    sys.modules.pop(MODULE, None)


def test_what_is_withheld_is_as_if_it_were_not_installed() -> None:
    with withheld(MODULE):
        with pytest.raises(ModuleNotFoundError, match="this is withheld"):
            importlib.import_module(MODULE)
        found = importlib.util.find_spec(MODULE)
        assert found is not None
        assert found.origin is None
    assert MODULE not in sys.modules


def test_it_is_there_again_afterwards_and_always_in_other_threads(capsys: pytest.CaptureFixture[str]) -> None:
    with ThreadPoolExecutor(1) as pool:
        with withheld(MODULE):
            pool.submit(importlib.import_module, MODULE).result()
        del sys.modules[MODULE]
        importlib.import_module(MODULE)
    assert "Zen of Python" in capsys.readouterr().out


def test_what_is_loaded_already_stays() -> None:
    with withheld("json"):
        assert importlib.import_module("json") is sys.modules["json"]


def test_a_quantizer_that_is_not_installed_is_told() -> None:
    if "nncf" in sys.modules:
        pytest.skip("it is loaded already")
    with withheld("nncf"), pytest.raises(MissingExtra, match=r"nncf is needed .*fdpipe\[openvino\]"), quantizer():
        pass


@pytest.mark.skipif(find_spec("nncf") is None, reason="the extra `openvino` is not installed")
def test_the_quantizer_may_be_used_within_itself() -> None:
    with quantizer() as outer, quantizer() as inner:
        assert outer is inner


def test_places_in_its_sources_are_left_out() -> None:
    error = RuntimeError("Exception from src/core.cpp:1:\nCheck 'x' failed at y.cpp\n the rank is wrong \n\n")
    assert line(error) == "the rank is wrong"
