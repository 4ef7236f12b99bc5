"""What one run is asked to do: typed, checked across fields, a JSON round trip, identified by a digest."""

from fdpipe.plan.recipe import Recipe
from fdpipe.plan.request import LOOKED_AT_BY, Plan, name_of
from fdpipe.plan.settings import (
    Benchmark,
    Budget,
    Conversion,
    DataPlan,
    Installer,
    Isolation,
    Orchestrator,
    ServiceSettings,
    Target,
    Tolerance,
    Unmeasured,
)

__all__ = [
    "LOOKED_AT_BY",
    "Benchmark",
    "Budget",
    "Conversion",
    "DataPlan",
    "Installer",
    "Isolation",
    "Orchestrator",
    "Plan",
    "Recipe",
    "ServiceSettings",
    "Target",
    "Tolerance",
    "Unmeasured",
    "name_of",
]
