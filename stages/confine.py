"""What a process that decodes media of strangers gives up: network, writing, new rights. Needs no package.

As a script: `python -I -S confine.py PARENT COMMAND …` gives it up and becomes the command.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_PDEATHSIG, _PR_SET_NO_NEW_PRIVS = 1, 38
# Landlock (linux/landlock.h; the same numbers on every architecture). Rights on files are bits: 13 in version
# 1, then REFER, TRUNCATE, IOCTL_DEV; bit 0 is to run files, 2 and 3 to read files and folders. Version 4
# brought TCP.
_LANDLOCK_CREATE_RULESET, _LANDLOCK_RESTRICT_SELF = 444, 446
_LANDLOCK_FS_BITS = {1: 13, 2: 14, 3: 15, 4: 15}
_LANDLOCK_RUNNING, _LANDLOCK_READING, _LANDLOCK_TCP = 0b1, 0b1100, 0b11


def confine(parent: int, *, may_run: bool = False) -> None:
    """End with `parent`; no new rights, no core, nothing written, and run only if it may.

    No network where the kernel lets us; what is open already, and files without a name, can still be written.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent ended before its decode child began")
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if libc.unshare(_CLONE_NEWNET) != 0:
        libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET)
    _only_read(libc, _LANDLOCK_READING | (_LANDLOCK_RUNNING if may_run else 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _only_read(libc: ctypes.CDLL, allowed: int) -> None:
    """Give up for good all other rights on files, and TCP, where the kernel has Landlock."""
    version = libc.syscall(_LANDLOCK_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return
    denied = (1 << _LANDLOCK_FS_BITS.get(version, 16)) - 1 & ~allowed
    rules = struct.pack("=QQ", denied, _LANDLOCK_TCP) if version >= 4 else struct.pack("=Q", denied)
    ruleset = libc.syscall(_LANDLOCK_CREATE_RULESET, rules, ctypes.c_size_t(len(rules)), 0)
    if ruleset >= 0:
        libc.syscall(_LANDLOCK_RESTRICT_SELF, ruleset, 0)
        os.close(ruleset)


if __name__ == "__main__":
    confine(int(sys.argv[1]), may_run=True)
    os.execv(sys.argv[2], sys.argv[2:])
