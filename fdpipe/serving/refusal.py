"""A request that is refused: one line for the caller, a kind for the figures, a status for HTTP."""

import msgspec
from starlette.responses import Response

_LONGEST = 600


class Refusal(Exception):
    """Its text goes to the caller; `kind` is one of a few words that label the errors' count."""

    def __init__(self, text: str, *, status: int = 400, kind: str = "bad_request") -> None:
        line = " ".join(text.split())
        super().__init__(line if len(line) <= _LONGEST else f"{line[:_LONGEST]}…")
        self.status = status
        self.kind = kind

    def response(self) -> Response:
        """The form that the Open Inference Protocol gives errors, used by every protocol over HTTP."""
        return json_response({"error": str(self)}, status=self.status)


class JsonResponse(Response):
    """JSON that was encoded already."""

    media_type = "application/json"


def json_response(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return JsonResponse(msgspec.json.encode(value), status_code=status)
