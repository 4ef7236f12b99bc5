"""`python -m bench.formats [FAMILY…] [SAMPLE…]`: make, convert, print; docs/formats.md is written when everything was asked
for. A row that fails is a row with its reason, never the end."""

import logging
import sys
from collections.abc import Sequence

from bench.formats.conversion import AGREES, CURED, FAILED, Outcome, outcome_of
from bench.formats.families import FAMILIES, ROOT, Family, make
from bench.formats.page import page
from bench.formats.samples import Made
from fdpipe.home import home, settle_environment

PAGE = ROOT / "docs" / "formats.md"


def main(words: Sequence[str]) -> int:
    """Exit with 1 where anything is neither converted nor refused."""
    settle_environment()
    logging.getLogger("fdpipe").setLevel(logging.WARNING)
    families = [FAMILIES[word] for word in words if word in FAMILIES] or list(FAMILIES.values())
    samples = [word for word in words if word not in FAMILIES]
    parts = [(family, module) for family in families for module in family.modules]
    outcomes = [outcome for family, module in parts for outcome in _outcomes(family, module, samples)]
    if not words:
        PAGE.write_text(page(outcomes))
    agree = sum(one.result in (AGREES, CURED) for one in outcomes)
    print(f"{agree} of {len(outcomes)} agree", flush=True)
    return 1 if any(one.result == FAILED for one in outcomes) else 0


def _outcomes(family: Family, module: str, samples: Sequence[str]) -> list[Outcome]:
    try:
        folders = make(family, module, home() / "formats" / "samples" / module, samples)
    except RuntimeError as error:
        nothing = Made(
            name=module, format=module.removeprefix("make_"), serialization="everything", versions={}, trusted=False,
            runtime="", settings={}, failure=str(error),
        )  # fmt: skip
        return [_said(Outcome(made=nothing, result=FAILED, where=family.isolation, told=str(error)))]
    return [_said(outcome_of(family, folder)) for folder in folders]


def _said(one: Outcome) -> Outcome:
    seconds = "" if one.seconds is None else f" in {one.seconds:.1f} s"
    figure = "" if one.difference is None else f", {one.difference:.1e}"
    print(f"{one.made.name}: {one.result}{figure}{seconds}{': ' + one.told if one.told else ''}", flush=True)
    return one


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
