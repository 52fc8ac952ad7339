"""The kernel's own means, by ctypes: namespaces, Landlock, seccomp, capabilities. No dependency.

Every function acts on the calling process for good and raises ``OSError`` when the kernel says no.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Iterable
from pathlib import Path

from evalsuite.sandbox.syscalls import AUDIT_ARCH, NUMBERS, SIGNALS

_libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_NEW_ANY = 0x7E020000 | 0x80
"""Every CLONE_NEW* flag, those of time and cgroups included."""
_PR_SET_KEEPCAPS, _PR_SET_DUMPABLE, _PR_SET_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 8, 4, 36, 38, 22
_CAP_DAC_READ_SEARCH = 2
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_READ, _WRITE_FILE = 0b1101, 0b10
"""Execute, read files and folders; write files."""


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl({option})")


def _dumpable() -> None:
    """Give /proc/self back to the process after a change of user."""
    _prctl(_PR_SET_DUMPABLE, 1)


def subreaper() -> None:
    """Orphaned descendants become children of this process."""
    _prctl(_PR_SET_SUBREAPER, 1)


def no_new_privileges() -> None:
    """No set-user-id program gives anything any more."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become(uid: int, *, keep_reading: bool) -> None:
    """Turn from root into ``uid``; ``keep_reading`` keeps the right to read below folders closed to others.

    The latter is for interpreters that live in root's home; what may be read at all is Landlock's matter.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    if keep_reading:
        _prctl(_PR_SET_KEEPCAPS, 1)
    os.setresuid(uid, uid, uid)
    capabilities(1 << _CAP_DAC_READ_SEARCH if keep_reading else 0)
    _dumpable()


def capabilities(mask: int) -> None:
    """Keep only the capabilities of ``mask``, effective and permitted."""
    header = struct.pack("Ii", 0x20080522, 0)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = struct.pack("6I", low, low, 0, high, high, 0)
    _checked(_libc.capset(header, data), "capset")


def new_namespaces(temporary: Path, size: int) -> None:
    """Leave all namespaces; children are the first of a process namespace of their own.

    ``temporary`` becomes an empty file system of its own of at most ``size`` bytes, and /proc one that stays empty.
    """
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(NEWUSER | NEWNS | NEWPID | NEWIPC | NEWNET | NEWUTS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", name).write_text(text)
    for place, options in ((str(temporary), f"size={size},mode=0700"), ("/proc", "size=4096,mode=0555")):
        result = _libc.mount(b"tmpfs", place.encode(), b"tmpfs", ctypes.c_ulong(0b110), options.encode())
        _checked(result, f"mount {place}")


def landlock_version() -> int:
    """The kernel's Landlock ABI, 0 without Landlock."""
    found: int = _libc.syscall(_LANDLOCK_CREATE, None, ctypes.c_size_t(0), 1)
    return max(found, 0)


def landlock(readable: Iterable[Path], writable: Iterable[Path]) -> None:
    """Nothing but these folders and files can be opened, and no TCP, abstract socket or outside process reached."""
    version = landlock_version()
    files = (1 << 13) - 1 | (1 << 13 if version >= 2 else 0) | (1 << 14 if version >= 3 else 0)
    files |= 1 << 15 if version >= 5 else 0
    ruleset = struct.pack("QQQ", files, 0b11 if version >= 4 else 0, 0b11 if version >= 6 else 0)
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset_fd = _checked(_libc.syscall(_LANDLOCK_CREATE, ruleset, ctypes.c_size_t(size), 0), "landlock ruleset")
    try:
        for rights, paths in ((_READ, readable), (files, writable)):
            for path in paths:
                _allow(ruleset_fd, path, rights, version)
        _checked(_libc.syscall(_LANDLOCK_RESTRICT, ruleset_fd, 0), "landlock")
    finally:
        os.close(ruleset_fd)


def _allow(ruleset_fd: int, path: Path, rights: int, version: int) -> None:
    if not path.exists():
        return
    if not path.is_dir():  # rights on the contents of folders do not apply
        rights &= 0b111 | (1 << 14 if version >= 3 else 0) | (1 << 15 if version >= 5 else 0)
    handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        rule = struct.pack("=Qi", rights, handle)
        _checked(_libc.syscall(_LANDLOCK_ADD, ruleset_fd, 1, rule, 0), f"landlock {path}")
    finally:
        os.close(handle)


def seccomp(*, deny_signals: bool) -> None:
    """Deny what an answer never needs: sockets, other processes' memory, mounts, namespaces, kernel interfaces.

    Denied calls fail with EPERM, ``clone3`` with ENOSYS (so that the C library falls back to ``clone``, whose flags
    can be looked at); calls of another architecture kill.
    """
    program = filter_program(platform.machine(), deny_signals=deny_signals)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _checked(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), header, 0, 0), "seccomp")


def filter_program(machine: str, *, deny_signals: bool) -> bytes:
    """The filter in the kernel's classic BPF. Raises ``OSError`` for a machine without a table."""
    if machine not in NUMBERS:
        raise OSError(f"no system call table for {machine}")
    numbers = NUMBERS[machine]
    names = [name for name in numbers if name not in ("clone", "clone3") and (deny_signals or name not in SIGNALS)]
    load, equal, above, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    kill, allow, eperm, enosys = 0x80000000, 0x7FFF0000, 0x50000 | 1, 0x50000 | 38
    lines = [(load, 0, 0, 4), (equal, 1, 0, AUDIT_ARCH[machine]), (give, 0, 0, kill), (load, 0, 0, 0)]
    if machine == "x86_64":
        lines += [(above, 0, 1, 0x40000000), (give, 0, 0, kill)]  # the x32 calls
    lines += [(equal, 0, 1, numbers["clone3"]), (give, 0, 0, enosys)]
    lines += [(equal, 0, 3, numbers["clone"]), (load, 0, 0, 16), (any_bit, 0, 1, _NEW_ANY), (give, 0, 0, eperm)]
    lines += [(load, 0, 0, 0)]
    for name in names:
        lines += [(equal, 0, 1, numbers[name]), (give, 0, 0, eperm)]
    lines.append((give, 0, 0, allow))
    return b"".join(struct.pack("HBBI", *line) for line in lines)
