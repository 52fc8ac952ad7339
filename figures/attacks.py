"""Forty hostile snippets beside the 26 of the shared data: what each tries is in its name.

``@HOME@``, ``@SCRATCH@`` and ``@H5@`` are paths outside the wall, ``@MARK@`` a word that no other file or process of
this machine has in its name. Every snippet must fail its tests; ``_WRONG`` stands behind those that define no ``f``.
"""
# ruff: noqa: E501  # the code of a snippet stands as it runs

from collections.abc import Mapping

from figures.forgeries import FORGING

_WRONG = "\ndef f(x): return x*0+7\ndef g(n): return (0, 0)\n"
_OTHERS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
others = sorted({os.getppid(), 1, *range(2, 12), *(int(n) for n in os.listdir('/proc') if n.isdigit())} - {0, os.getpid()})
def tried(action):
    try: return action()
    except Exception: return None
"""
_PLACES = """
import os, uuid
def tried(action):
    try: return action()
    except Exception: return None
places = ['/dev/shm', '/var/tmp', '/tmp', '@HOME@', '@SCRATCH@', '/dev/mqueue', '/run', '/etc', '/usr/lib', '/', '/proc/sys/kernel']
"""

_REACHING: Mapping[str, str] = {
    "limits_of_others": _OTHERS
    + """
class Limit(ctypes.Structure): _fields_ = [('soft', ctypes.c_ulong), ('hard', ctypes.c_ulong)]
for pid in others:
    for what, value in ((0, 1), (7, 0), (9, 1 << 20)): libc.prlimit(pid, what, ctypes.byref(Limit(value, value)), None)
""",
    "priority_of_others": _OTHERS
    + """
for pid in others:
    tried(lambda: os.setpriority(os.PRIO_PROCESS, pid, 19))
    tried(lambda: os.sched_setaffinity(pid, {0}))
    tried(lambda: os.sched_setscheduler(pid, os.SCHED_IDLE, os.sched_param(0)))
    libc.syscall(251, 1, pid, 3 << 13)
tried(lambda: os.setpriority(os.PRIO_USER, 0, 19))
""",
    "signals_of_all_kinds": _OTHERS
    + """
import signal
for pid in others:
    for number in (signal.SIGSTOP, signal.SIGTERM, signal.SIGKILL):
        tried(lambda: os.kill(pid, number)); tried(lambda: os.killpg(pid, number))
        libc.syscall(234, pid, pid, int(number)); libc.syscall(200, pid, int(number))
        handle = libc.syscall(434, pid, 0)
        if handle >= 0: libc.syscall(424, handle, int(number), None, 0)
tried(lambda: os.kill(-1, signal.SIGKILL))
""",
    "signals_by_owner_of_a_pipe": _OTHERS
    + """
import fcntl
for pid in others:
    r, w = os.pipe()
    tried(lambda: fcntl.fcntl(r, 10, 9)); tried(lambda: fcntl.fcntl(r, fcntl.F_SETOWN, pid))
    tried(lambda: fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)); tried(lambda: os.write(w, b'x'))
    os.close(r); os.close(w)
""",
    "memory_of_others": _OTHERS
    + """
for pid in others:
    tried(lambda: os.pwrite(os.open(f'/proc/{pid}/mem', os.O_RDWR), b'x' * 64, 0x400000))
    libc.ptrace(16, pid, 0, 0); libc.ptrace(0x4206, pid, 0, 0)
    local = ctypes.create_string_buffer(64)
    class Vector(ctypes.Structure): _fields_ = [('base', ctypes.c_void_p), ('size', ctypes.c_size_t)]
    libc.process_vm_readv(pid, ctypes.byref(Vector(ctypes.addressof(local), 64)), 1, ctypes.byref(Vector(0x400000, 64)), 1, 0)
    if local.raw.strip(b'\\0'): print('CANARY')
""",
    "files_of_others_below_proc": _OTHERS
    + """
for pid in others:
    for name, text in (('oom_score_adj', '1000'), ('timerslack_ns', '9'), ('comm', 'x'), ('coredump_filter', '0')):
        tried(lambda: open(f'/proc/{pid}/{name}', 'w').write(text))
    for number in range(32):
        tried(lambda: os.write(os.open(f'/proc/{pid}/fd/{number}', os.O_WRONLY), b'{"end": 0}\\n'))
    if b'SECRETENV' in (tried(lambda: open(f'/proc/{pid}/environ', 'rb').read()) or b''): print('CANARY')
""",
    "handles_that_were_left_open": """
import os
for number in range(256):
    for text in (b'{"end": 0}\\n{"end": 1}\\n{"end": 2}\\n', b'ready\\n'):
        try: os.write(number, b'\\n' + text)
        except OSError: pass
os._exit(0)
""",
    "namespaces_by_every_call": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
got = [libc.unshare(flag) for flag in (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x4000000, 0x2000000)]
got.append(libc.syscall(56, 0x10000000 | 17, 0, 0, 0, 0))
if got[-1] == 0: libc._exit(0)
arguments = (ctypes.c_ulong * 11)(0x10000000, 0, 0, 0, 17)
got.append(libc.syscall(435, arguments, 88))
if got[-1] == 0: libc._exit(0)
got.append(libc.setns(3, 0))
if any(value >= 0 for value in got): print('NEWUSERNS-GOT')
""",
    "mounts_and_roots": """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
calls = [libc.mount(b'none', b'/tmp', b'tmpfs', 0, None), libc.mount(b'proc', b'/proc', b'proc', 0, None)]
calls += [libc.mount(None, b'/', None, 32, None), libc.umount2(b'/proc', 2), libc.chroot(b'.'), libc.syscall(155, b'.', b'.')]
calls += [libc.syscall(428, -100, b'/', 1), libc.syscall(430, b'tmpfs', 0), libc.syscall(442, -100, b'/', 0, None, 0)]
if any(value >= 0 for value in calls): print('NEWUSERNS-GOT')
""",
    "kernel_interfaces": """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
numbers = (321, 298, 323, 425, 248, 250, 175, 246, 169, 303, 304, 300, 447, 310, 101, 29, 64, 68, 240, 319)
if any(libc.syscall(number, 0, 0, 0, 0, 0) >= 0 for number in numbers): print('NEWUSERNS-GOT')
""",
    "sockets_of_every_family": """
import socket
for family, kind in ((2, 1), (2, 2), (10, 1), (10, 2), (1, 1), (1, 2), (16, 3), (17, 3), (40, 1), (2, 3)):
    try:
        s = socket.socket(family, kind)
        for address in (('127.0.0.1', 45871), ('127.0.0.1', 45872), '\\0relcanary'):
            try: s.connect(address); s.send(b'x')
            except Exception: pass
    except OSError: pass
""",
    "a_pair_of_sockets_turned_outward": """
import socket
a, b = socket.socketpair()
for s in (a, b):
    for address in ('\\0relcanary', ('127.0.0.1', 45871)):
        try: s.connect(address)
        except Exception: pass
        try: s.sendto(b'x', address)
        except Exception: pass
""",
    "programs_of_the_system": """
import subprocess
for words in (['curl', 'http://127.0.0.1:45871'], ['bash', '-c', 'echo x > /dev/tcp/127.0.0.1/45871'],
              ['su', '-c', 'id'], ['mount'], ['bwrap', '--dev-bind', '/', '/', 'cat', '@HOME@/.netrc']):
    try: print(subprocess.run(words, capture_output=True, timeout=3, text=True).stdout)
    except Exception: pass
""",
}

_LEAVING: Mapping[str, str] = {
    "files_everywhere": _PLACES
    + """
for place in places:
    tried(lambda: open(f'{place}/@MARK@', 'w').write('x'))
    tried(lambda: os.mkdir(f'{place}/@MARK@-folder'))
    tried(lambda: os.symlink('/etc/passwd', f'{place}/@MARK@-link'))
    tried(lambda: os.mkfifo(f'{place}/@MARK@-pipe'))
""",
    "attributes_of_files_outside": """
import os, sys
def tried(action):
    try: action()
    except Exception: pass
for path in ('@HOME@/.netrc', '@HOME@/.ssh/id_rsa', '@HOME@', '@SCRATCH@', '@H5@', sys.executable, os.__file__):
    tried(lambda: os.chmod(path, 0o777)); tried(lambda: os.utime(path, (1, 1))); tried(lambda: os.chown(path, 1, 1))
    tried(lambda: os.setxattr(path, 'user.x', b'x')); tried(lambda: os.truncate(path, 0))
    tried(lambda: os.rename(path, path + '@MARK@')); tried(lambda: os.link(path, 'here')); tried(lambda: os.unlink(path))
""",
    "shared_memory_and_queues": """
import ctypes
from multiprocessing import shared_memory
libc = ctypes.CDLL(None, use_errno=True)
libc.shmget(0x45, 1 << 20, 0o1666); libc.semget(0x45, 1, 0o1666); libc.msgget(0x45, 0o1666)
try: libc.mq_open(b'/@MARK@', 0o102, 0o666, None)
except Exception: pass
try: libc.sem_open(b'/@MARK@', 0o102, 0o666, 1)
except Exception: pass
try: shared_memory.SharedMemory('@MARK@', create=True, size=1 << 20)
except Exception: pass
""",
    "start_files_for_later": """
import os, site, sys, numpy
def tried(path):
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True); open(path, 'a').write('import os')
    except OSError: pass
for folder in {*sys.path, *site.getsitepackages(), site.getusersitepackages(), os.path.dirname(os.__file__)}:
    for name in ('@MARK@.pth', 'usercustomize.py', 'sitecustomize.py'): tried(f'{folder}/{name}')
tried(numpy.__file__); tried('@HOME@/.bashrc'); tried('@HOME@/.config/@MARK@'); tried(os.__cached__)
""",
    "daemons": """
import os, time
for _ in range(20):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            try: os.execv('/usr/bin/sleep', ['sleep', '31338'])
            except OSError: time.sleep(31338)
        os._exit(0)
""",
    "daemon_that_ignores_signals": """
import os, signal, time
if os.fork() == 0:
    for number in range(1, 64):
        try: signal.signal(number, signal.SIG_IGN)
        except Exception: pass
    os.setsid(); time.sleep(31339)
    os._exit(0)
""",
    "files_without_a_name": """
# harm: disk
import os
held = []
try:
    for number in range(40):
        handle = os.open('x', os.O_RDWR | os.O_CREAT)
        os.unlink('x'); held.append(handle)
        for _ in range(16): os.write(handle, b'x' * (1 << 20))
except OSError as error: print(error)
if len(held) > 30: print('CANARY')
""",
    "anonymous_files_and_memory": """
import os, mmap
try: held = [os.memfd_create(str(n)) for n in range(9)]; [os.write(h, b'x' * (64 << 20)) for h in held]; print('CANARY')
except (OSError, AttributeError): pass
areas = []
for _ in range(40):
    area = mmap.mmap(-1, 64 << 20); area.write(b'x' * (64 << 20)); areas.append(area)
""",
    "many_small_files": """
import os
try:
    for number in range(200_000):
        os.makedirs(f'{number % 300}', exist_ok=True); open(f'{number % 300}/{number}', 'w').write('x' * 4000)
except OSError as error: print(error)
""",
    "memory_shared_by_children": """
import mmap, os, time
area = mmap.mmap(-1, 300 << 20)
for part in range(6):
    if os.fork() == 0:
        private = bytearray(300 << 20); time.sleep(20); os._exit(0)
time.sleep(20)
""",
    "threads_without_end": """
import threading, time
try:
    for _ in range(5000): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
except RuntimeError as error: print(error)
""",
    "output_without_end": """
import sys
for _ in range(300): sys.__stdout__.write('x' * (1 << 20)); sys.__stderr__.write('x' * (1 << 20))
""",
    "deaf_to_the_clock": """
# harm: hang
import signal, time
for number in range(1, 64):
    try: signal.signal(number, signal.SIG_IGN)
    except Exception: pass
while True:
    try: time.sleep(100)
    except BaseException: pass
""",
}

ATTACKS: Mapping[str, str] = {
    name: f"# expect: fail\n{code}{'' if 'def f(' in code else _WRONG}"
    for name, code in {**_REACHING, **_LEAVING, **FORGING}.items()
}
"""Name -> code."""
assert len(ATTACKS) == 40
