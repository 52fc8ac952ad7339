"""The kernel's side: numbers against the kernel's own headers, and the filter as the kernel would read it."""

import re
import struct
from pathlib import Path

import pytest

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox.syscalls import AUDIT_ARCH, FIRST_ARGUMENT, NUMBERS, SECOND_ARGUMENT, SIGNALS

HEADERS = {
    "x86_64": ("/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "/usr/include/asm/unistd_64.h"),
    "aarch64": ("/usr/include/asm-generic/unistd.h",),
}
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x50001, 0x50026, 0x80000000


@pytest.mark.parametrize("machine", NUMBERS)
def test_numbers_are_the_kernels(machine: str) -> None:
    found = [Path(path) for path in HEADERS[machine] if Path(path).exists()]
    if not found:
        pytest.skip(f"no header of the kernel's with the numbers of {machine}")
    text = found[0].read_text()
    stated = {name: int(number) for name, number in re.findall(r"#define __NR_(\w+)\s+(\d+)", text)}
    known = {name: number for name, number in NUMBERS[machine].items() if name in stated}
    assert {name: stated[name] for name in known} == known
    assert len(known) > 120


def decision(
    program: bytes, machine: str, number: int, arguments: tuple[int, ...] = (), arch: int | None = None
) -> int:
    """What the kernel's interpreter would answer to one system call."""
    given = [*arguments, 0, 0][:2]
    data = struct.pack("IIQQQ", number, AUDIT_ARCH[machine] if arch is None else arch, 0, *given)
    value, place = 0, 0
    while True:
        code, yes, no, constant = struct.unpack_from("HBBI", program, 8 * place)
        place += 1
        if code == 0x20:
            value = struct.unpack_from("I", data, constant)[0]
        elif code == 0x06:
            return int(constant)
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
            place += yes if holds else no


@pytest.mark.parametrize("machine", NUMBERS)
def test_the_filter_allows_what_it_names_and_nothing_else(machine: str) -> None:
    numbers = NUMBERS[machine]
    program = lockdown.filter_program(machine, signals_to=None)

    def answer(number: int, *arguments: int, arch: int | None = None) -> int:
        return decision(program, machine, number, arguments, arch)

    limited = {"clone", "clone3", *FIRST_ARGUMENT, *SECOND_ARGUMENT}
    assert {answer(number) for name, number in numbers.items() if name not in limited} == {ALLOW}
    assert {answer(number) for number in set(range(600)) - set(numbers.values())} == {ENOSYS}
    assert answer(numbers["clone3"]) == ENOSYS
    assert answer(numbers["clone"], 0x11) == ALLOW
    assert answer(numbers["clone"], 0x3D0F00) == ALLOW, "a thread"
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(numbers["clone"], flag | 0x11) == EPERM
    for place, table in enumerate((FIRST_ARGUMENT, SECOND_ARGUMENT)):
        for name, values in table.items():
            arguments = [(0,) * place + (value,) for value in (*values, max(values) + 1)]
            assert [answer(numbers[name], *given) for given in arguments] == [ALLOW] * len(values) + [EPERM]
    assert answer(1, arch=0x40000003) == KILL, "32-bit calls have other numbers"
    if machine == "x86_64":
        assert answer(0x40000000 + numbers["read"]) == KILL, "x32 calls have other numbers"
    alone = lockdown.filter_program(machine, signals_to=7)
    for name in SIGNALS:
        assert answer(numbers[name], 8) == ALLOW
        assert decision(alone, machine, numbers[name], (7,)) == ALLOW
        assert decision(alone, machine, numbers[name], (8,)) == EPERM


def test_what_reaches_others_is_not_named() -> None:
    others = "ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd pidfd_send_signal kcmp setpriority "
    others += "ioprio_set sched_setscheduler sched_setparam sched_setattr move_pages migrate_pages process_madvise "
    others += "socket connect bind mount umount2 pivot_root chroot unshare setns io_uring_setup bpf userfaultfd "
    others += "keyctl add_key shmget semget msgget mq_open memfd_create rt_sigqueueinfo rt_tgsigqueueinfo seccomp "
    others += "perf_event_open open_by_handle_at setuid setresuid capset personality chown mknod setxattr"
    assert not set(others.split()) & (set(NUMBERS["x86_64"]) | set(NUMBERS["aarch64"]))


def test_a_machine_without_a_table_has_no_filter() -> None:
    with pytest.raises(OSError, match="no system call table for riscv64"):
        lockdown.filter_program("riscv64", signals_to=None)
