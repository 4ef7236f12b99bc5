"""Architectures of transformers: a few here, all of them by `make formats`."""

import os
from pathlib import Path

import pytest

from bench.architectures import Outcome, alone, converted, page
from bench.small_models import ARCHITECTURES, IMAGE, TEXT

QUICK = ("bert", "distilbert", "roberta", "vit")

ALL = os.environ.get("FDPIPE_FORMATS") == "all"

NOT_CONVERTED = {
    "convbert": "the export answers otherwise",  # its convolutions see the padding, as in transformers itself
    "fnet": "the export answers otherwise",  # its Fourier transform sees the padding, as in transformers itself
    "funnel": "torch.onnx cannot export",
    "helium": "torch.onnx cannot export",
    "hgnet_v2": "the export answers otherwise",  # by a little more than is allowed
    "longformer": "torch.onnx cannot export",
    "perceiver": "the image processor 'PerceiverImageProcessor' is not supported",
    "yoso": "the export answers otherwise",
}
"""By `model_type`, words of its refusal."""


@pytest.mark.parametrize("model_type", ARCHITECTURES)
def test_it_converts_and_agrees_or_says_why_not(model_type: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if model_type not in QUICK and not ALL:
        pytest.skip("run by make formats")
    pytest.importorskip("torch", reason="needs the extra `transformers`")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    found = converted(model_type, tmp_path) if model_type in QUICK else alone(model_type, ARCHITECTURES[model_type])
    if model_type in NOT_CONVERTED:
        assert NOT_CONVERTED[model_type] in found.refusal
        assert "\n" not in found.refusal
        return
    assert not found.refusal
    assert found.rows == {TEXT: 16, IMAGE: 8}[found.task]
    assert found.difference < 1e-5
    assert found.apart > 1e-3


def test_one_in_a_process_of_its_own_that_fails_is_told() -> None:
    found = alone("no such type", ARCHITECTURES["bert"])
    assert found.refusal == "KeyError: 'no such type'"


def test_enough_of_them_convert() -> None:
    assert set(NOT_CONVERTED) <= set(ARCHITECTURES)
    assert len(ARCHITECTURES) - len(NOT_CONVERTED) >= 40


def test_the_page_names_what_does_not_convert() -> None:
    good = Outcome(model_type="bert", task=TEXT, seconds=3.21, rows=16, difference=2e-7, apart=0.5, exporter="torch.export")
    bad = Outcome(model_type="fnet", task=TEXT, seconds=1.0, refusal="it is\nas | it is")
    text = page([bad, good])
    assert "**1 of 2** `model_type`s convert and agree" in text
    assert "| bert | text-classification | 2.0e-07 | 0.5 | torch.export |  | 3.2 |" in text
    assert "| fnet | text-classification | it is as \\| it is | 1.0 |" in text
