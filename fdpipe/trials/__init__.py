"""The trials of a search: what can be combined, how a candidate is made and tried, and the loop."""

from fdpipe.trials.attempt import Attempt, answering, contender, refusals
from fdpipe.trials.finding import aside
from fdpipe.trials.given import Call, Given
from fdpipe.trials.loop import search
from fdpipe.trials.space import space_of

__all__ = ["Attempt", "Call", "Given", "answering", "aside", "contender", "refusals", "search", "space_of"]
