"""The OpenAPI document that BentoML serves for a running release, taken at its word by schemathesis: no answer is a 5xx."""

from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.serving.conftest import Served

FEW = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def statuses_of(operation: APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> set[int]:
    """What comes back to requests of this operation, as the document has them or as it does not."""
    found: set[int] = set()

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Case[Any]) -> None:
        reply = case.call()
        case.validate_response(reply, checks=[not_a_server_error])
        found.add(reply.status_code)

    ask()
    return found


def test_no_server_error(prices: Served) -> None:
    schema = schemathesis.openapi.from_url(f"{prices.api}/docs.json")
    operations = {found.ok().path: found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)}
    for path in ("/livez", "/readyz", "/metrics"):
        assert statuses_of(operations[path], GenerationMode.POSITIVE) == {200}
    assert statuses_of(operations["/predict"], GenerationMode.POSITIVE) <= {200, 400, 422}
    assert statuses_of(operations["/predict"], GenerationMode.NEGATIVE) <= {200, 400, 422}
