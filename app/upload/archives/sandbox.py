"""What a child gives up before it touches the bytes of a stranger.

Limits hold everywhere; on Linux the process also dies with its parent, gains no
privileges, and may make only the system calls that reading files takes: no sockets,
no processes, no writing to files.
"""

from __future__ import annotations

import ctypes
import os
import platform
import resource
import signal
import struct
import sys

FILES = 16
PR_SET_PDEATHSIG, PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 1, 22, 38
SECCOMP_MODE_FILTER = 2
ALLOW, KILL, FAIL = 0x7FFF0000, 0x80000000, 0x00050001  # FAIL: with EPERM
LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
EXECUTABLE = 4  # PROT_EXEC

# By machine: the audit architecture, the numbers of the calls that are harmless whatever
# their arguments, and those of which one argument may have none of some bits.
CALLS: dict[str, tuple[int, tuple[int, ...], dict[int, tuple[int, int]]]] = {
    "x86_64": (
        0xC000003E,
        (
            # read write close stat fstat lstat lseek munmap brk readv writev mremap madvise
            *(0, 1, 3, 4, 5, 6, 8, 11, 12, 19, 20, 25, 28),
            # rt_sigaction rt_sigprocmask rt_sigreturn ioctl pread64 getpid exit fcntl
            *(13, 14, 15, 16, 17, 39, 60, 72),
            # getrlimit getrusage sigaltstack setrlimit futex clock_gettime exit_group
            # newfstatat getrandom
            *(97, 98, 131, 160, 202, 228, 231, 262, 318),
        ),
        # open openat mmap mprotect prlimit64 (of this process only)
        {2: (1, WRITING), 257: (2, WRITING), 9: (2, EXECUTABLE), 10: (2, EXECUTABLE)}
        | {302: (0, 0xFFFFFFFF)},
    ),
    "aarch64": (
        0xC00000B7,
        (
            # read write close fstat lseek munmap brk readv writev mremap madvise
            *(63, 64, 57, 80, 62, 215, 214, 65, 66, 216, 233),
            # rt_sigaction rt_sigprocmask rt_sigreturn ioctl pread64 getpid exit fcntl
            *(134, 135, 139, 29, 67, 172, 93, 25),
            # getrlimit getrusage sigaltstack setrlimit futex clock_gettime exit_group
            # newfstatat getrandom
            *(163, 165, 132, 164, 98, 113, 94, 79, 278),
        ),
        # openat mmap mprotect prlimit64 (of this process only)
        {56: (2, WRITING), 222: (2, EXECUTABLE), 226: (2, EXECUTABLE), 261: (0, 0xFFFFFFFF)},
    ),
}


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def lock_down(memory: int, parent: int) -> list[str]:
    """Give up what can be given up; answers what could not, in words.

    ``memory`` is the address space in bytes, ``parent`` the process to die with.
    """
    for kind, limit in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_NPROC, 0),
    ):
        _, hard = resource.getrlimit(kind)
        if hard != resource.RLIM_INFINITY:
            limit = min(limit, hard)
        resource.setrlimit(kind, (limit, limit))
    if sys.platform != "linux":
        return ["no filter of system calls: not Linux"]
    library = ctypes.CDLL(None, use_errno=True)
    missing: list[str] = []
    if library.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0):
        missing.append("death with the parent")
    if os.getppid() != parent:
        raise SystemExit(0)
    if library.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        missing.append("no new privileges")
    if not _filter_calls(library):
        missing.append("the filter of system calls")
    return missing


def allow_cpu(seconds: float) -> None:
    """The kernel ends this process after so many further seconds of CPU time, rounded up."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    limit = int(usage.ru_utime + usage.ru_stime + seconds) + 1
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _filter_calls(library: ctypes.CDLL) -> bool:
    if platform.machine() not in CALLS:
        return False
    code = _compile(*CALLS[platform.machine()])
    program = _Program(len(code) // 8, code)
    return not library.prctl(
        PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0
    )  # fmt: skip


def _compile(
    architecture: int, harmless: tuple[int, ...], guarded: dict[int, tuple[int, int]]
) -> bytes:
    """A classic BPF program: struct seccomp_data has the number at 0, the architecture at 4,
    and from 16 on the arguments, 8 bytes each (their low halves first on both machines)."""
    lines = [(LOAD, 0, 0, 4), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL), (LOAD, 0, 0, 0)]
    for number in harmless:
        lines += [(EQUAL, 0, 1, number), (RETURN, 0, 0, ALLOW)]
    for number, (argument, bits) in guarded.items():
        lines += [
            (EQUAL, 0, 4, number),
            (LOAD, 0, 0, 16 + 8 * argument),
            (ANY_BIT, 0, 1, bits),
            (RETURN, 0, 0, FAIL),
            (RETURN, 0, 0, ALLOW),
        ]
    lines.append((RETURN, 0, 0, FAIL))
    return b"".join(struct.pack("<HBBL", *line) for line in lines)
