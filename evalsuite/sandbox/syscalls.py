"""System call numbers that the filter speaks of, from Linux's own tables (``unistd_64.h``, ``asm-generic/unistd.h``).

Numbers from 424 on are the same on every architecture.
"""

from collections.abc import Mapping

AUDIT_ARCH: Mapping[str, int] = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""Machine -> the value that the kernel puts beside each call's number."""

_SHARED = {
    "pidfd_send_signal": 424,
    "io_uring_setup": 425,
    "io_uring_enter": 426,
    "io_uring_register": 427,
    "open_tree": 428,
    "move_mount": 429,
    "fsopen": 430,
    "fsconfig": 431,
    "fsmount": 432,
    "fspick": 433,
    "clone3": 435,
    "pidfd_getfd": 438,
    "mount_setattr": 442,
    "memfd_secret": 447,
}

NUMBERS: Mapping[str, Mapping[str, int]] = {
    "x86_64": _SHARED
    | {"socket": 41, "connect": 42, "accept": 43, "bind": 49, "listen": 50, "accept4": 288}
    | {"ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "kcmp": 312}
    | {"mount": 165, "umount2": 166, "pivot_root": 155, "chroot": 161, "unshare": 272, "setns": 308, "clone": 56}
    | {"kill": 62, "tkill": 200, "tgkill": 234, "rt_sigqueueinfo": 129, "rt_tgsigqueueinfo": 297}
    | {"shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "msgget": 68, "mq_open": 240, "memfd_create": 319}
    | {"add_key": 248, "request_key": 249, "keyctl": 250, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298}
    | {"name_to_handle_at": 303, "open_by_handle_at": 304, "fanotify_init": 300, "quotactl": 179, "acct": 163}
    | {"init_module": 175, "finit_module": 313, "delete_module": 176, "kexec_load": 246, "kexec_file_load": 320}
    | {"reboot": 169, "swapon": 167, "swapoff": 168, "syslog": 103, "personality": 135, "io_setup": 206}
    | {"sethostname": 170, "setdomainname": 171, "settimeofday": 164, "clock_settime": 227, "clock_adjtime": 305}
    | {"adjtimex": 159, "iopl": 172, "ioperm": 173, "modify_ldt": 154, "migrate_pages": 256, "move_pages": 279},
    "aarch64": _SHARED
    | {"socket": 198, "connect": 203, "accept": 202, "bind": 200, "listen": 201, "accept4": 242}
    | {"ptrace": 117, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272}
    | {"mount": 40, "umount2": 39, "pivot_root": 41, "chroot": 51, "unshare": 97, "setns": 268, "clone": 220}
    | {"kill": 129, "tkill": 130, "tgkill": 131, "rt_sigqueueinfo": 138, "rt_tgsigqueueinfo": 240}
    | {"shmget": 194, "shmat": 196, "shmctl": 195, "semget": 190, "msgget": 186, "mq_open": 180, "memfd_create": 279}
    | {"add_key": 217, "request_key": 218, "keyctl": 219, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241}
    | {"name_to_handle_at": 264, "open_by_handle_at": 265, "fanotify_init": 262, "quotactl": 60, "acct": 89}
    | {"init_module": 105, "finit_module": 273, "delete_module": 106, "kexec_load": 104, "kexec_file_load": 294}
    | {"reboot": 142, "swapon": 224, "swapoff": 225, "syslog": 116, "personality": 92, "io_setup": 0}
    | {"sethostname": 161, "setdomainname": 162, "settimeofday": 170, "clock_settime": 112, "clock_adjtime": 266}
    | {"adjtimex": 171, "migrate_pages": 238, "move_pages": 239},
}
"""Machine -> name -> number."""

SIGNALS = ("kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_send_signal")
"""Denied only where nothing else keeps signals inside."""
