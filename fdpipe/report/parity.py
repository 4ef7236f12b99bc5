"""The certificate: the export beside the original, on every set of rows."""

from fdpipe.artifacts import Case, Parity, Record
from fdpipe.report import words
from fdpipe.report.tables import Table


def certificate(record: Record) -> list[tuple[str, str]]:
    """Parity of the export with the original."""
    parity = record.baseline.parity
    worst = "none" if parity.worst_row is None else f"row {parity.worst_row}"
    return [
        ("rows compared", f"{parity.rows:,}"),
        ("labels that differ", f"{parity.flips} ({parity.flips / max(1, parity.rows):.2%})"),
        _furthest(parity),
        ("worst", worst),
        ("precision", parity.precision.value),
        *([("why not float32", parity.cure)] if parity.cure else []),
        *([("certificate", parity.digest)] if parity.digest else []),
    ]


def cases(parity: Parity) -> Table:
    """Every set of rows on which the original and its export were compared; their cosine where answers are tensors."""
    tensors = any(case.cosine is not None for case in parity.cases)
    columns = ("case", "outcome", "rows", "labels that differ", "largest difference", "99 % are below", *["cosine"] * tensors)
    return Table(columns=columns, rows=tuple(_case(case, tensors=tensors) for case in parity.cases))


def _furthest(parity: Parity) -> tuple[str, str]:
    """What the answers are judged by: tensors by their cosine, all others by their difference."""
    cosine = parity.cases[0].cosine if parity.cases else None
    if cosine is not None:
        return "smallest cosine", f"{cosine:.6f}"
    return "largest difference", f"{words.difference(parity.largest_difference)} (allowed {parity.tolerance:.0e})"


def _case(case: Case, *, tensors: bool) -> tuple[str, ...]:
    if case.refused:
        return case.name, f"not taken: {case.refused}", *[words.DASH] * (4 + tensors)
    if case.unjudged:
        return (
            case.name,
            f"not judged, no row has such values: {case.unjudged}",
            f"{case.rows:,}",
            *[words.DASH] * (3 + tensors),
        )
    outcome = f"alike; {case.excused} within the original's own rounding" if case.excused else "alike"
    cosine = words.DASH if case.cosine is None else f"{case.cosine:.6f}"
    differences = [words.difference(one) for one in (case.largest_difference, case.quantiles.get("p99", 0.0))]
    return case.name, outcome, f"{case.rows:,}", str(case.flips), *differences, *[cosine] * tensors
