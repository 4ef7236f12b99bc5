"""Figures as people read them."""

import pytest

from fdpipe.artifacts import Interval
from fdpipe.report import words


@pytest.mark.parametrize(
    ("shown", "wanted"),
    [
        (words.figure(0.97), "0.9700"),
        (words.figure(5314.234), "5314.2"),
        (words.figure(None), "–"),
        (words.change(0.9712, 0.97), "+0.0012"),
        (words.change(0.97, 0.97), "±0"),
        (words.change(0.97, None), "–"),
        (words.difference(0.0), "0"),
        (words.difference(4.17e-7), "4.2e-07"),
        (words.milliseconds(0.12), "0.120 ms"),
        (words.milliseconds(121.0), "121 ms"),
        (words.milliseconds(1234.0), "1,234 ms"),
        (words.ratio(Interval(low=0.456, middle=1.0, high=2515.4)), "1.00× (0.46–2,515)"),
        (words.seconds(0.0123), "12 ms"),
        (words.seconds(2.5), "2.50 s"),
        (words.seconds(61.4), "61 s"),
        (words.seconds(125), "2 min 5 s"),
        (words.mebibytes(1.131), "1.13 MiB"),
        (words.mebibytes(0.0367), "0.0367 MiB"),
        (words.mebibytes(0.0001), "< 0.001 MiB"),
        (words.mebibytes(2500.4), "2,500 MiB"),
        (words.mebibytes(71.4), "71.4 MiB"),
        (words.mebibytes(None), "–"),
        (words.times(2.126), "2.13×"),
        (words.times(43.2), "43×"),
        (words.digest(None), "–"),
    ],
)
def test_words(shown: str, wanted: str) -> None:
    assert shown == wanted
