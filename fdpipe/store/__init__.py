"""Results by content: where they are kept, and the functions that remember them."""

from fdpipe.store.folder import FILES, Entry, LocalStore, Store, writing
from fdpipe.store.stages import VALUE, Stage, stage

__all__ = ["FILES", "VALUE", "Entry", "LocalStore", "Stage", "Store", "stage", "writing"]
