"""Where an ONNX model loses when it is quantized: one node at a time, without labels."""

from fdpipe.sensitivity.losses import METHOD, losses
from fdpipe.sensitivity.spots import untouched

__all__ = ["METHOD", "losses", "untouched"]
