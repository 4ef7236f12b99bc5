"""The gate and the benchmark behind it: how often they are right; `python -m bench gate [speed] [quality]`."""
