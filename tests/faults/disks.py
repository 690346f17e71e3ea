"""A small disk, a full quota, a disk that may only be read: mounted for one process and its own.

Linux lets a process mount for itself alone, in namespaces of its own, where the system allows it.
Called in the process of a command, before it begins.
"""

import ctypes
import os

_NEW_NAMESPACES = 0x10000000 | 0x00020000  # CLONE_NEWUSER | CLONE_NEWNS, linux/sched.h
_PRIVATE = 0x4000 | 0x40000  # MS_REC | MS_PRIVATE, linux/mount.h
_READ_ONLY = 1


def own_mounts() -> None:
    """What this process mounts from now on, it alone sees. Raises OSError where it may not."""
    maps = {"setgroups": "deny", "uid_map": f"0 {os.getuid()} 1", "gid_map": f"0 {os.getgid()} 1"}
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEW_NAMESPACES):
        raise OSError(ctypes.get_errno(), "unshare")
    for name, text in maps.items():
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    _mount(b"none", b"/", None, _PRIVATE, None)


def small(folder: str, num_files: int) -> None:
    """A disk of a page of memory, and of so many files and folders, in the place of a folder."""
    own_mounts()
    size = f"size=4096,nr_inodes={num_files + 1}".encode()
    _mount(b"tmpfs", os.fsencode(folder), b"tmpfs", 0, size)


def read_only(folder: str) -> None:
    """The same for a disk that may only be read."""
    own_mounts()
    _mount(b"tmpfs", os.fsencode(folder), b"tmpfs", _READ_ONLY, None)


def _mount(*arguments) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(*arguments):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), arguments[1])


def over_quota(error: int) -> None:
    """Every file that is brought to the disk is one too many: what a quota's end looks like."""

    def fsync(descriptor):
        raise OSError(error, os.strerror(error))

    os.fsync = fsync


def may_mount() -> bool:
    """Whether this system lets a process do it."""
    child = os.fork()
    if not child:
        try:
            own_mounts()
            os._exit(0)
        except OSError:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
