"""What the sender's process is told and what it tells: MessagePack over its pipes."""

from msgspec import Struct


class Request(Struct, frozen=True):
    """One request: `path` begins with a slash, `headers` come on top of those that HTTP needs."""

    path: str
    content: bytes = b""
    method: str = "POST"
    headers: dict[str, str] = {}


class Errand(Struct, frozen=True):
    """One load: the requests in turn, as `picks` numbers them (again from the front where these are used up), either at their
    `times` (seconds from the start) or, without these, `connections` at a time until `seconds` are over."""

    requests: list[Request]
    picks: list[int]
    connections: int
    seconds: float
    times: list[float] | None


class Order(Struct, frozen=True):
    """All that one sender does, in order, against one `host` (`http://…:port`); a request that has no answer `timeout_s`
    after it should have been sent has failed."""

    host: str
    timeout_s: float
    tasks: list[Errand]


class Done(Struct):
    """What came of a task: seconds from its start, float64 by request: when each should have been sent, when the sender turned
    to it, when it was sent, when its answer was there; and its status, int32, negative where there was no answer: the number
    in `failures`, from -1 on. `busy_s` are the seconds of a core that the sender took."""

    intended: bytes
    turned: bytes
    sent: bytes
    ended: bytes
    statuses: bytes
    failures: list[str]
    busy_s: float
    wall_s: float
    interrupted: int
    waited: int


class Sent(Struct):
    """What the sender says at its end."""

    tasks: list[Done]
