"""The kernel's side: numbers against the kernel's own headers, and the filter as the kernel would read it."""

import re
import struct
from pathlib import Path

import pytest

from evalsuite.sandbox import confinement as lockdown
from evalsuite.sandbox.syscalls import AUDIT_ARCH, NUMBERS, SIGNALS

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
    assert set(NUMBERS[machine]) - set(known) <= {"memfd_secret", "mount_setattr"}, "too new for this header"


def decision(program: bytes, machine: str, number: int, first: int = 0, arch: int | None = None) -> int:
    """What the kernel's interpreter would answer to one system call."""
    data = struct.pack("IIQQ", number, AUDIT_ARCH[machine] if arch is None else arch, 0, first)
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
def test_the_filter_denies_what_it_names_and_lets_the_rest_through(machine: str) -> None:
    numbers = NUMBERS[machine]
    program = lockdown.filter_program(machine, deny_signals=False)

    def answer(number: int, first: int = 0, arch: int | None = None) -> int:
        return decision(program, machine, number, first, arch)

    denied = {name for name, number in numbers.items() if answer(number) == EPERM}
    assert denied == set(numbers) - {"clone", "clone3", *SIGNALS}
    assert answer(numbers["clone3"]) == ENOSYS
    assert answer(numbers["clone"], 0x11) == ALLOW
    assert answer(numbers["clone"], 0x3D0F00) == ALLOW, "a thread"
    for flag in (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000):
        assert answer(numbers["clone"], flag | 0x11) == EPERM
    others = set(range(460)) - set(numbers.values())
    assert {answer(number) for number in others} == {ALLOW}
    assert answer(1, arch=0x40000003) == KILL, "32-bit calls have other numbers"
    if machine == "x86_64":
        assert answer(0x40000000 + numbers["ptrace"]) == KILL, "x32 calls have other numbers"
    strict = lockdown.filter_program(machine, deny_signals=True)
    assert decision(strict, machine, numbers["kill"]) == EPERM


def test_a_machine_without_a_table_has_no_filter() -> None:
    with pytest.raises(OSError, match="no system call table for riscv64"):
        lockdown.filter_program("riscv64", deny_signals=False)
