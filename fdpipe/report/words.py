"""Figures as people read them."""

from fdpipe.artifacts import Interval

DASH = "–"


def figure(value: float | None) -> str:
    """A quality figure: four places, or four digits where it is large."""
    if value is None:
        return DASH
    return f"{value:.4f}" if abs(value) < 100 else f"{value:.5g}"


def change(value: float | None, reference: float | None) -> str:
    """How far a figure lies above or below the original's."""
    if value is None or reference is None:
        return DASH
    difference = value - reference
    return "±0" if abs(difference) < 5e-5 else f"{difference:+.4f}"


def difference(value: float) -> str:
    """A small difference, two digits."""
    return "0" if value == 0 else f"{value:.2g}"


def ratio(value: Interval | None) -> str:
    """A ratio of times with its interval."""
    return DASH if value is None else f"{_factor(value.middle)}× ({_factor(value.low)}–{_factor(value.high)})"


def _factor(value: float) -> str:
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def milliseconds(value: float) -> str:
    """Three digits."""
    return f"{f'{value:#.3g}'.rstrip('.')} ms" if value < 1000 else f"{value:,.0f} ms"


def seconds(value: float) -> str:
    """Three digits at most, minutes from two on."""
    if value >= 120:
        return f"{int(value // 60)} min {int(value % 60)} s"
    if value >= 10:
        return f"{value:.0f} s"
    return f"{value:.2f} s" if value >= 0.1 else f"{value * 1000:.0f} ms"


def mebibytes(mib: float | None) -> str:
    """Memory, or the size of files: three digits."""
    if mib is None:
        return DASH
    if 0 < mib < 0.001:
        return "< 0.001 MiB"
    return f"{mib:.3g} MiB" if mib < 100 else f"{mib:,.0f} MiB"


def times(factor: float) -> str:
    """How many times, as in `2.13×`."""
    return f"{factor:.2f}×" if factor < 10 else f"{factor:.0f}×"


def digest(value: str | None) -> str:
    """Enough of a sha256 to tell it apart."""
    return DASH if value is None else value[:12]
