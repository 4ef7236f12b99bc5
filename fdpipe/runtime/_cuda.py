"""An NVIDIA GPU by its driver alone (libcuda, the CUDA driver API), so that running an engine needs no other library."""

import ctypes
from ctypes import byref, c_char_p, c_int, c_size_t, c_uint64, c_void_p

import numpy as np

from fdpipe.errors import StageError

LIBRARY = "libcuda.so.1"
MAJOR, MINOR = 75, 76
"""The device attributes that make up its compute capability (CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR)."""


def missing() -> str | None:
    """Why no GPU can be used on this machine; None where one can."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        return f"there is no NVIDIA GPU here: its driver's {LIBRARY} is not found"
    count = c_int()
    if (code := driver.cuInit(0)) or (code := driver.cuDeviceGetCount(byref(count))):
        return f"no NVIDIA GPU can be used here: {_error(driver, code)}"
    return None if count.value else "there is no NVIDIA GPU here, though its driver is"


class Device:
    """The first GPU, in its primary context, which CUDA's runtime library shares. `StageError` for whatever fails."""

    def __init__(self) -> None:
        if reason := missing():
            raise StageError(reason)
        self._driver = ctypes.CDLL(LIBRARY)
        self._device, self._context = c_int(), c_void_p()
        self._call("cuDeviceGet", byref(self._device), c_int(0))
        self._call("cuDevicePrimaryCtxRetain", byref(self._context), self._device)

    @property
    def capability(self) -> str:
        """As `SM86`."""
        major, minor = c_int(), c_int()
        for value, attribute in ((major, MAJOR), (minor, MINOR)):
            self._call("cuDeviceGetAttribute", byref(value), c_int(attribute), self._device)
        return f"SM{major.value}{minor.value}"

    def enter(self) -> None:
        """Make it this thread's device: to be called before anything else is."""
        self._call("cuCtxSetCurrent", self._context)

    def stream(self) -> int:
        """A new queue of work."""
        found = c_void_p()
        self._call("cuStreamCreate", byref(found), c_int(1))  # non-blocking
        return int(found.value or 0)

    def wait(self, stream: int) -> None:
        """Until all of the queue's work is done."""
        self._call("cuStreamSynchronize", c_void_p(stream))

    def allocate(self, size: int) -> int:
        """The address of so many bytes."""
        found = c_uint64()
        self._call("cuMemAlloc_v2", byref(found), c_size_t(max(1, size)))
        return int(found.value)

    def free(self, address: int) -> None:
        """Give memory back."""
        self._call("cuMemFree_v2", c_uint64(address))

    def write(self, address: int, array: np.ndarray, stream: int) -> None:
        """Queue a copy of a contiguous array to the device."""
        self._call(
            "cuMemcpyHtoDAsync_v2", c_uint64(address), c_void_p(array.ctypes.data), c_size_t(array.nbytes), c_void_p(stream)
        )

    def read(self, address: int, array: np.ndarray, stream: int) -> None:
        """Queue a copy from the device into a contiguous array."""
        self._call(
            "cuMemcpyDtoHAsync_v2", c_void_p(array.ctypes.data), c_uint64(address), c_size_t(array.nbytes), c_void_p(stream)
        )

    def close(self) -> None:
        """Give the context back."""
        self._call("cuDevicePrimaryCtxRelease_v2", self._device)

    def _call(self, name: str, *arguments: object) -> None:
        if code := getattr(self._driver, name)(*arguments):
            raise StageError(f"the GPU's driver failed in {name}: {_error(self._driver, code)}")


def _error(driver: ctypes.CDLL, code: int) -> str:
    text = c_char_p()
    driver.cuGetErrorString(c_int(code), byref(text))
    return text.value.decode() if text.value else f"error {code}"
