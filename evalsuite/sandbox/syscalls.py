"""System calls that untrusted code may make, with their numbers: x86_64 and aarch64 (from the kernel's headers).

Everything else fails with ENOSYS: sockets of any network, other processes' memory, limits and priorities, mounts,
namespaces, keys, and whatever a later kernel adds.
"""

from collections.abc import Mapping

AUDIT_ARCH: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Machine -> the value that the kernel puts beside each call's number."""

_TABLE = """
read 0 63, write 1 64, readv 19 65, writev 20 66, pread64 17 67, pwrite64 18 68, preadv 295 69, pwritev 296 70,
preadv2 327 286, pwritev2 328 287, open 2 -, openat 257 56, creat 85 -, close 3 57, close_range 436 436, dup 32 23,
dup2 33 -, dup3 292 24, pipe 22 -, pipe2 293 59, stat 4 -, fstat 5 80, lstat 6 -, newfstatat 262 79, statx 332 291,
access 21 -, faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents 78 -,
getdents64 217 61, getcwd 79 17, chdir 80 49, fchdir 81 50, mkdir 83 -, mkdirat 258 34, rmdir 84 -, unlink 87 -,
unlinkat 263 35, rename 82 -, renameat 264 38, renameat2 316 276, link 86 -, linkat 265 37, symlink 88 -,
symlinkat 266 36, chmod 90 -, fchmod 91 52, fchmodat 268 53, utime 132 -, utimes 235 -, futimesat 261 -,
utimensat 280 88, truncate 76 45, ftruncate 77 46, fallocate 285 47, fadvise64 221 223, readahead 187 213,
fsync 74 82, fdatasync 75 83, flock 73 32, statfs 137 43, fstatfs 138 44, umask 95 166, lseek 8 62, sendfile 40 71,
copy_file_range 326 285, getxattr 191 8, lgetxattr 192 9, fgetxattr 193 10, listxattr 194 11, llistxattr 195 12,
flistxattr 196 13, select 23 -, pselect6 270 72, poll 7 -, ppoll 271 73, epoll_create 213 -, epoll_create1 291 20,
epoll_ctl 233 21, epoll_wait 232 -, epoll_pwait 281 22, epoll_pwait2 441 441, eventfd 284 -, eventfd2 290 19,
timerfd_create 283 85, timerfd_settime 286 86, timerfd_gettime 287 87, sendto 44 206, recvfrom 45 207,
sendmsg 46 211, recvmsg 47 212, shutdown 48 210, getsockopt 55 209, getsockname 51 204, getpeername 52 205,
mmap 9 222, mprotect 10 226, munmap 11 215, mremap 25 216, madvise 28 233, brk 12 214, mincore 27 232, msync 26 227,
mlock 149 228, munlock 150 229, mlock2 325 284, membarrier 324 283, rseq 334 293, set_robust_list 273 99,
futex 202 98, futex_waitv 449 449, set_tid_address 218 96, get_mempolicy 239 236, arch_prctl 158 -, fork 57 -,
vfork 58 -, execve 59 221, exit 60 93, exit_group 231 94, wait4 61 260, waitid 247 95, getpid 39 172,
getppid 110 173, gettid 186 178, getuid 102 174, geteuid 107 175, getgid 104 176, getegid 108 177, getresuid 118 148,
getresgid 120 150, getgroups 115 158, getpgid 121 155, getpgrp 111 -, getsid 124 156, setsid 112 157,
setpgid 109 154, rt_sigaction 13 134, rt_sigprocmask 14 135, rt_sigreturn 15 139, rt_sigpending 127 136,
rt_sigtimedwait 128 137, rt_sigsuspend 130 133, sigaltstack 131 132, pause 34 -, restart_syscall 219 128,
nanosleep 35 101, clock_nanosleep 230 115, clock_gettime 228 113, clock_getres 229 114, gettimeofday 96 169,
time 201 -, times 100 153, getitimer 36 102, setitimer 38 103, alarm 37 -, timer_create 222 107,
timer_settime 223 110, timer_gettime 224 108, timer_getoverrun 225 109, timer_delete 226 111, getrlimit 97 163,
setrlimit 160 164, getrusage 98 165, sysinfo 99 179, uname 63 160, getrandom 318 278, getcpu 309 168,
sched_yield 24 124, sched_getaffinity 204 123, sched_getparam 143 121, sched_getscheduler 145 120,
sched_get_priority_max 146 125, sched_get_priority_min 147 126, getpriority 140 141, capget 125 90, clone 56 220,
clone3 435 435, fcntl 72 25, ioctl 16 29, prctl 157 167, prlimit64 302 261, sched_setaffinity 203 122,
socketpair 53 199, kill 62 129, tkill 200 130, tgkill 234 131
"""

_ROWS = [row.split() for row in _TABLE.replace("\n", " ").split(",")]
NUMBERS: Mapping[str, Mapping[str, int]] = {
    machine: {row[0]: int(row[column]) for row in _ROWS if row[column] != "-"}
    for column, machine in enumerate(AUDIT_ARCH, start=1)
}
"""Machine -> name -> number."""

FIRST_ARGUMENT: Mapping[str, tuple[int, ...]] = {
    "prlimit64": (0,),  # of the calling process
    "sched_setaffinity": (0,),
    "socketpair": (1,),  # AF_UNIX: what asyncio wakes itself with
    "prctl": (
        1,
        3,
        15,
        16,
        23,
        0x53564D41,
    ),  # signal at the parent's death, dumpable?, names, capability?, name a mapping
}
"""Call -> the values of its first argument with which it is allowed."""
SECOND_ARGUMENT: Mapping[str, tuple[int, ...]] = {
    "ioctl": (
        0x5401,
        0x5413,
        0x541B,
        0x5421,
        0x5450,
        0x5451,
    ),  # terminal?, its size, bytes waiting, blocking, close on exec
    "fcntl": (0, 1, 2, 3, 4, 5, 6, 7, 1030, 1031, 1032, 36, 37, 38),  # no owner or signal for a descriptor
}
SIGNALS = ("kill", "tkill", "tgkill")
"""Limited to the calling process where nothing else keeps signals inside."""
