"""Bound the store: what goes, and what stays whatever the bound."""

import time
from pathlib import Path

from fdpipe.store import Entry, LocalStore, provenance


def prune(
    store: LocalStore,
    protected: object = (),
    *,
    max_bytes: int | None = None,
    older_than_s: float | None = None,
    dry_run: bool = False,
) -> list[Entry]:
    """Remove entries, the longest unused first: those unused for `older_than_s` seconds, then as many as the bound of
    `max_bytes` on all entries together asks for. Returns those removed or, in a dry run, those that would be.

    Never removed: an entry that holds a path which `protected` (artifacts, releases) names, and one used since the oldest
    run now under way began.
    """
    with store.alone():
        entries = store.entries()
        kept = {path for path in provenance.walk(protected) if isinstance(path, Path)}
        since, now, total = store.in_use_since(), time.time(), sum(entry.size_bytes for entry in entries)
        removed = []
        for entry in entries:
            folder = store.folder(entry.stage, entry.key)
            too_old = older_than_s is not None and now - entry.used > older_than_s
            too_much = max_bytes is not None and total > max_bytes
            if not (too_old or too_much) or entry.used >= since or any(path.is_relative_to(folder) for path in kept):
                continue
            if not dry_run and not store.discard_unused(entry.stage, entry.key, entry.used):
                continue
            total -= entry.size_bytes
            removed.append(entry)
        return removed
