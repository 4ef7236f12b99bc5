"""OpenVINO, imported without what it tells its makers; and what it raises."""

import sys
from typing import Any

from fdpipe import extras

FAILURES = (RuntimeError, ValueError, TypeError, LookupError)
"""OpenVINO has no errors of its own."""

LACKING = "No conversion rule found for operations:"

PLACES = ("Exception from", "Check ", "FrontEnd API failed")
"""How the lines begin that say where in OpenVINO's sources it failed."""

TELEMETRY = "openvino_telemetry"


def library() -> Any:  # noqa: ANN401 - a module
    """The module `openvino`; `MissingExtra` where it is not installed.

    At its first import it would send an event over the network and leave files in the user's home. It does neither where
    the package that does so cannot be imported, and so it is hidden meanwhile.
    """
    hidden = TELEMETRY not in sys.modules
    if hidden:
        sys.modules[TELEMETRY] = None  # type: ignore[assignment]  # which is how Python marks what must not be imported
    try:
        return extras.require("openvino", extra="openvino")
    finally:
        if hidden:
            del sys.modules[TELEMETRY]


def line(error: Exception) -> str:
    """What OpenVINO said, as one line: the operators that it has not, or else all but the places in its sources."""
    told = [part.strip() for part in str(error).splitlines()]
    if lacking := next((part for part in told if LACKING in part), ""):
        return f"it has no operator {lacking.partition(LACKING)[2].strip()}"
    said = " ".join(part for part in told if part and not part.startswith(PLACES))
    return said[:400] or " ".join(told)[:400]
