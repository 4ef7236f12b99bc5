"""BF16, the upper half of an FP32, which numpy does not know and no runtime here takes: only another way to send an FP32 input.

Its bytes are widened, which is exact; its numbers in JSON are rounded to it first, as those of every datatype are.
"""

import numpy as np

DATATYPE = "BF16"
ITEM_BYTES = 2


def widened(raw: bytes | memoryview) -> np.ndarray:
    """Its little-endian bytes as float32."""
    return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)


def rounded(array: np.ndarray) -> np.ndarray:
    """float32 → the nearest BF16 (of two, the even one), still as float32; infinite where it cannot hold a number."""
    bits = array.view(np.uint32)
    near = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return near.view(np.float32)
