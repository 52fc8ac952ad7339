"""The kernel's own means, by ctypes: namespaces, seccomp, capabilities. No dependency.

Every function acts on the calling process for good and raises ``OSError`` when the kernel refuses.
"""

import ctypes
import os
import platform
import struct
from collections.abc import Sequence
from pathlib import Path

from evalsuite.sandbox.syscalls import AUDIT_ARCH, FIRST_ARGUMENT, NUMBERS, SECOND_ARGUMENT, SIGNALS

_libc = ctypes.CDLL(None, use_errno=True)

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = 0x20000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000
_NEW_ANY = 0x7E020000 | 0x80
"""Every CLONE_NEW* flag, those of time and cgroups included."""
_PR_SET_DUMPABLE, _PR_SET_SUBREAPER, _PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP = 4, 36, 38, 22
_LOAD, _EQUAL, _ABOVE, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_KILL, _ALLOW, _EPERM, _ENOSYS = 0x80000000, 0x7FFF0000, 0x50000 | 1, 0x50000 | 38
_NUMBER, _ARCH, _FIRST, _SECOND = 0, 4, 16, 24
"""Offsets in the kernel's ``struct seccomp_data``; of arguments the lower half is read."""
_FILES = 16_384
"""Most files of a job: an empty one has no size, but takes memory of the kernel."""
Line = tuple[int, int, int, int]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _prctl(option: int, value: int) -> None:
    _checked(_libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0), f"prctl({option})")


def dumpable(on: bool) -> None:
    """Set whether this process is "dumpable": if not, other processes of the same user cannot read its memory or the
    protected ones of its files below /proc. Raises ``OSError`` if the kernel refuses.
    """
    _prctl(_PR_SET_DUMPABLE, int(on))


def subreaper() -> None:
    """Make orphaned descendants children of this process from now on, unless one between is a subreaper, too. Raises
    ``OSError`` if the kernel refuses.
    """
    _prctl(_PR_SET_SUBREAPER, 1)


def no_new_privileges() -> None:
    """Set ``no_new_privs`` for good: no set-user-id program gives this process or its children any right. Raises
    ``OSError`` if the kernel refuses.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def become(uid: int) -> None:
    """Turn this process for good from root into the user and group ``uid``, without other groups or any capability.

    Raises ``OSError`` if the kernel refuses.
    """
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    drop_capabilities()


def drop_capabilities() -> None:
    """Give up every capability of this process: effective, permitted and inheritable. Raises ``OSError`` if the kernel
    refuses.
    """
    header = struct.pack("Ii", 0x20080522, 0)
    _checked(_libc.capset(header, struct.pack("6I", 0, 0, 0, 0, 0, 0)), "capset")


def new_namespaces(temporary: Path, size: int) -> None:
    """Move this process into new namespaces (user, mounts, IPC, network, host name), its children also into one of
    processes.

    The folder ``temporary`` becomes an empty file system of at most ``size`` bytes and 16,384 files, /proc an empty one
    of 4 KiB; user and group ids stay the same. Raises ``OSError`` if the kernel refuses.
    """
    uid, gid = os.getuid(), os.getgid()
    _checked(_libc.unshare(NEWUSER | NEWNS | NEWPID | NEWIPC | NEWNET | NEWUTS), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        Path("/proc/self", name).write_text(text)
    for place, options in (
        (str(temporary), f"size={size},nr_inodes={_FILES},mode=0700"),
        ("/proc", "size=4096,mode=0555"),
    ):
        result = _libc.mount(b"tmpfs", place.encode(), b"tmpfs", ctypes.c_ulong(0b110), options.encode())
        _checked(result, f"mount {place}")


def seccomp(*, signals_to: int | None) -> None:
    """Allow this process and its children only the system calls listed in the module ``syscalls``, for good.

    ``signals_to``: the id of the one process that may be signalled, None: any. Other calls, and ``clone3``, fail with
    ENOSYS, those with a forbidden argument with EPERM; calls of another architecture kill. Raises ``OSError`` if the
    kernel refuses or the machine has no table of calls.
    """
    program = filter_program(platform.machine(), signals_to=signals_to)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    _checked(_libc.prctl(_PR_SET_SECCOMP, ctypes.c_ulong(2), header, 0, 0), "seccomp")


def filter_program(machine: str, *, signals_to: int | None) -> bytes:
    """The seccomp filter for ``machine`` (such as ``x86_64``) as bytes of the kernel's classic BPF; ``signals_to`` as
    in ``seccomp``. Raises ``OSError`` for a machine without a table.
    """
    if machine not in NUMBERS:
        raise OSError(f"no system call table for {machine}")
    numbers = dict(NUMBERS[machine])
    lines: list[Line] = [(_LOAD, 0, 0, _ARCH), (_EQUAL, 1, 0, AUDIT_ARCH[machine]), (_RETURN, 0, 0, _KILL)]
    lines.append((_LOAD, 0, 0, _NUMBER))
    if machine == "x86_64":
        lines += [(_ABOVE, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]  # the x32 calls
    lines += [(_EQUAL, 0, 1, numbers.pop("clone3")), (_RETURN, 0, 0, _ENOSYS)]  # the C library falls back to clone
    clone = [(_LOAD, 0, 0, _FIRST), (_ANY_BIT, 0, 1, _NEW_ANY), (_RETURN, 0, 0, _EPERM), (_RETURN, 0, 0, _ALLOW)]
    lines += [(_EQUAL, 0, len(clone), numbers.pop("clone")), *clone]
    own = {} if signals_to is None else dict.fromkeys(SIGNALS, (signals_to,))
    for offset, limited in ((_FIRST, {**FIRST_ARGUMENT, **own}), (_SECOND, SECOND_ARGUMENT)):
        for name, values in limited.items():
            body = _one_of(offset, values)
            lines += [(_EQUAL, 0, len(body), numbers.pop(name)), *body]
    for number in numbers.values():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_RETURN, 0, 0, _ENOSYS))
    return b"".join(struct.pack("HBBI", *line) for line in lines)


def _one_of(offset: int, values: Sequence[int]) -> list[Line]:
    """Lines of the filter that allow a call if its argument at ``offset`` (of ``struct seccomp_data``) is one of
    ``values``, else fail with EPERM.
    """
    lines: list[Line] = [(_LOAD, 0, 0, offset)]
    for value in values:
        lines += [(_EQUAL, 0, 1, value), (_RETURN, 0, 0, _ALLOW)]
    return [*lines, (_RETURN, 0, 0, _EPERM)]
