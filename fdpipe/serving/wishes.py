"""What a request's headers say of how it is to be answered, whatever protocol it came by."""

import time

from fdpipe.serving.call import Asked, Call
from fdpipe.serving.refusal import Refusal

TIMEOUT_MS = b"x-request-timeout-ms"
"""So many milliseconds the caller waits."""

PROXYS_TIMEOUT_MS = b"x-envoy-expected-rq-timeout-ms"
"""The same, as the proxy Envoy (and so KServe with Istio) tells it to those behind it."""

_LONGEST = 12
"""Digits of a time limit; Python refuses to read numbers of thousands of them."""


def heed(asked: Asked) -> None:
    """Note an earlier deadline, and whether the answer must be a fresh one (`Cache-Control: no-cache` or `no-store`)."""
    for name, value in asked.headers:
        if name == b"cache-control":
            directives = value.lower()
            asked.call.fresh = asked.call.fresh or b"no-cache" in directives or b"no-store" in directives
        elif name in (TIMEOUT_MS, PROXYS_TIMEOUT_MS):
            if not value.isdigit() or len(value) > _LONGEST:
                raise Refusal(f"{name.decode()} is {value[:40].decode('latin-1')!r}: it must be a number of milliseconds")
            hurry(asked.call, int(value) / 1e3)


def hurry(call: Call, seconds: float) -> None:
    """From now on its caller waits so long; never longer than before, and 0 changes nothing."""
    if seconds > 0:
        call.deadline = min(call.deadline, time.monotonic() + seconds)
