"""A request that is refused: one line for the caller, a kind for the figures, a status for HTTP."""

import msgspec

from fdpipe.serving.call import JSON, Headers, Reply

_LONGEST = 600


class Refusal(Exception):
    """Its text goes to the caller; `kind` is one of a few words that label the errors' count. `retry_after_s` says when it may
    be worth asking again."""

    def __init__(self, text: str, *, status: int = 400, kind: str = "bad_request", retry_after_s: float | None = None) -> None:
        line = " ".join(text.split())
        super().__init__(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")
        self.status = status
        self.kind = kind
        self.retry_after_s = retry_after_s

    def reply(self) -> Reply:
        """The form that the Open Inference Protocol gives errors, used by every protocol over HTTP."""
        later: Headers = ()
        if self.retry_after_s is not None:
            later = ((b"retry-after", str(max(1, round(self.retry_after_s))).encode()),)
        return Reply(msgspec.json.encode({"error": str(self)}), status=self.status, headers=(JSON, *later))


def json_reply(value: object, status: int = 200) -> Reply:
    """`value` as JSON."""
    return Reply(msgspec.json.encode(value), status=status)
