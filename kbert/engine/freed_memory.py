"""glibc's allocator, told to keep what is freed.

All that a pass compiled by XLA computes lies in one block. glibc gives blocks of 32 MB and more
back to the system at once (mallopt(3), M_MMAP_THRESHOLD), and the next step takes their pages anew,
one by one. Other C libraries have no mallopt: there nothing happens.
"""

import ctypes
import platform

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> None:
    """From now on this process keeps what it frees, where the C library is glibc."""
    if platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 2**28)
