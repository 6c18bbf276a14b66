"""What ``strace`` sees of a process, held against what ``calls`` counts."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.invariants.calls import NUMBERS

_HARMLESS = """
    read readv pread64 preadv recvfrom recvmsg sendto sendmsg accept accept4 connect socket bind
    listen shutdown getsockopt setsockopt getsockname getpeername socketpair pipe pipe2 close
    dup dup3 fcntl ioctl lseek stat fstat lstat newfstatat statx access faccessat faccessat2
    readlink readlinkat getdents64 getcwd fstatfs statfs umask flock fadvise64 epoll_wait
    epoll_pwait epoll_ctl epoll_create1 eventfd2 poll ppoll select pselect6 futex sched_yield
    nanosleep clock_nanosleep clock_gettime gettimeofday getrandom getpid getppid gettid geteuid
    getuid getgid getegid getrusage sysinfo brk munmap mprotect madvise mremap set_robust_list
    rseq clone clone3 exit exit_group rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
    restart_syscall wait4 waitid kill tgkill prlimit64 getrlimit setrlimit arch_prctl prctl
    sched_getaffinity set_tid_address membarrier
"""
HARMLESS = frozenset(_HARMLESS.split())
"""They read, wait, or concern the process and its connections alone."""

_LINE = re.compile(r"\d+ +(\w+)\((.*)")
_NAMES = ("link", "symlink", "unlink", "rename", "mkdir", "rmdir", "mknod", "creat", "truncate")
ATTACH = 1.0
"""Seconds that strace takes, at the most, to attach to every thread."""


@contextmanager
def traced(pid: int, trace: Path) -> Iterator[Path]:
    """Have every call of a process and its threads written to ``trace``."""
    strace = shutil.which("strace")
    assert strace is not None, "this test needs strace"
    tracer = subprocess.Popen([strace, "-f", "-y", "-qq", "-o", str(trace), "-p", str(pid)])
    time.sleep(ATTACH)
    try:
        yield trace
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.wait(timeout=30)


def changes(trace: Path, folder: Path) -> Counter[str]:
    """How often each call that changes files below ``folder`` was made.

    Fails on a call of which nobody knows whether it does.
    """
    seen: Counter[str] = Counter()
    for line in trace.read_text(errors="replace").splitlines():
        if (match := _LINE.match(line)) is None:  # a signal, an end, or how a call went on
            continue
        name, arguments = match.groups()
        if name == "mmap":
            shared = "MAP_SHARED" in arguments and "PROT_WRITE" in arguments
            # SQLite's index of its log is shared; after a crash it is made anew from the log.
            assert not shared or ".db-shm>" in arguments, line
        elif name == "fchown":
            # SQLite gives its log the owner of the database, who it is already.
            assert re.search(r"\.db-(?:wal|shm)>", arguments), line
        elif name not in NUMBERS:
            assert name in HARMLESS, line
        elif _counts(name, arguments, folder):
            seen[name] += 1
    return seen


def _counts(name: str, arguments: str, folder: Path) -> bool:
    if name in ("open", "openat"):
        return "O_CREAT" in arguments or "O_TRUNC" in arguments
    return name.startswith(_NAMES) or f"<{folder}/" in arguments.split(",")[0]
