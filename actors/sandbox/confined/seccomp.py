"""An allow-list of system calls for jobs, as a BPF program. All other system calls fail with EPERM.

Not allowed are, among others: fork (but threads are allowed), socket, execve, kill, ptrace, mount, unshare, setns,
memfd_create, io_uring, keyctl, bpf, userfaultfd, perf_event_open, shmget. The numbers come from the kernel's headers
(unistd_64.h, asm-generic/unistd.h).
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

from actors.sandbox.confined.kernel import PR_GET_SECCOMP, PR_SET_SECCOMP, prctl
from actors.sandbox.protocol.job import SandboxError

_X86_64 = """
    read=0 write=1 readv=19 writev=20 pread64=17 pwrite64=18 close=3 lseek=8 open=2 openat=257 stat=4 fstat=5
    lstat=6 newfstatat=262 statx=332 access=21 faccessat=269 faccessat2=439 readlink=89 readlinkat=267
    getdents64=217 getcwd=79 chdir=80 umask=95 mkdir=83 mkdirat=258 rmdir=84 unlink=87 unlinkat=263 rename=82
    renameat=264 renameat2=316 symlink=88 symlinkat=266 link=86 linkat=265 truncate=76 ftruncate=77
    fallocate=285 fsync=74 fdatasync=75 flock=73 utimensat=280 fadvise64=221 chmod=90 fchmod=91 fchmodat=268
    statfs=137 fstatfs=138 sendfile=40 copy_file_range=326 dup=32 dup2=33 dup3=292 pipe=22 pipe2=293 poll=7
    ppoll=271 select=23 pselect6=270 eventfd2=290 fcntl=72 close_range=436 brk=12 mmap=9 munmap=11 mremap=25
    mprotect=10 madvise=28 rt_sigaction=13 rt_sigprocmask=14 rt_sigreturn=15 rt_sigpending=127
    rt_sigtimedwait=128 sigaltstack=131 pause=34 alarm=37 setitimer=38 getitimer=36 restart_syscall=219
    gettimeofday=96 clock_gettime=228 clock_getres=229 clock_nanosleep=230 nanosleep=35 time=201 times=100
    getpid=39 getppid=110 gettid=186 getuid=102 geteuid=107 getgid=104 getegid=108 getgroups=115 getpgrp=111
    getpgid=121 getsid=124 getpriority=140 sched_yield=24 sched_getaffinity=204 sched_getparam=143
    sched_getscheduler=145 getrusage=98 getrlimit=97 sysinfo=99 uname=63 getcpu=309 getrandom=318 wait4=61
    waitid=247 exit=60 exit_group=231 futex=202 set_robust_list=273 get_robust_list=274
    set_tid_address=218 rseq=334 arch_prctl=158 membarrier=324 clone=56 clone3=435 ioctl=16 prlimit64=302
"""
_AARCH64 = """
    read=63 write=64 readv=65 writev=66 pread64=67 pwrite64=68 close=57 lseek=62 openat=56 fstat=80 newfstatat=79
    statx=291 faccessat=48 faccessat2=439 readlinkat=78 getdents64=61 getcwd=17 chdir=49 umask=166 mkdirat=34
    unlinkat=35 renameat=38 symlinkat=36 truncate=45 ftruncate=46 fallocate=47 fsync=82 fdatasync=83 flock=32
    utimensat=88 fadvise64=223 dup=23 dup3=24 pipe2=59 ppoll=73 pselect6=72 eventfd2=19 fcntl=25 brk=214 mmap=222
    munmap=215 mremap=216 mprotect=226 madvise=233 rt_sigaction=134 rt_sigprocmask=135 rt_sigreturn=139
    sigaltstack=132 setitimer=103 getitimer=102 restart_syscall=128 gettimeofday=169 clock_gettime=113
    clock_getres=114 clock_nanosleep=115 nanosleep=101 times=153 getpid=172 getppid=173 gettid=178 getuid=174
    geteuid=175 getgid=176 getegid=177 getgroups=158 sched_yield=124 sched_getaffinity=123 getrusage=165
    getrlimit=163 sysinfo=179 uname=160 getcpu=168 getrandom=278 wait4=260 waitid=95 exit=93 exit_group=94 futex=98
    set_robust_list=99 get_robust_list=100 set_tid_address=96 rseq=293 membarrier=283 clone=220 clone3=435 ioctl=29
    prlimit64=261
"""
_MACHINES = {"x86_64": (0xC000003E, _X86_64), "aarch64": (0xC00000B7, _AARCH64)}
_LOAD, _EQUAL, _ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _FAIL, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_NEW_NAMESPACES = 0x7E020000
_THREAD = 0x00010000
_IOCTLS = (0x5401, 0x5413, 0x541B, 0x5450, 0x5451)  # TCGETS, TIOCGWINSZ, FIONREAD, FIONCLEX, FIOCLEX
_FCNTLS = (*range(8), 1030)  # duplicating, flags, locks; not F_SETOWN, which could send signals, nor larger pipes
_FILTER_MODE = 2
Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def build_filter() -> bytes:
    """Return the filter program for this machine.

    Raises:
        SandboxError: This machine's architecture has no system-call table here.
    """
    if platform.machine() not in _MACHINES:
        raise SandboxError(f"sandboxing is not supported on {platform.machine()} (no system-call table)")
    architecture, table = _MACHINES[platform.machine()]
    numbers = {name: int(number) for name, _, number in (item.partition("=") for item in table.split())}
    code = [(_LOAD, 0, 0, _ARCHITECTURE), (_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _KILL), (_LOAD, 0, 0, _NUMBER)]
    code += _rule_for_call(
        numbers.pop("clone3"), [(_RETURN, 0, 0, _FAIL | errno.ENOSYS)]
    )  # the C library then falls back to clone
    code += _rule_for_call(numbers.pop("clone"), _clone_rules())
    code += _rule_for_call(numbers.pop("ioctl"), [(_LOAD, 0, 0, _ARGUMENTS + 8), *_allow_values(_IOCTLS)])
    code += _rule_for_call(numbers.pop("fcntl"), [(_LOAD, 0, 0, _ARGUMENTS + 8), *_allow_values(_FCNTLS)])
    code += _rule_for_call(
        numbers.pop("prlimit64"), [(_LOAD, 0, 0, _ARGUMENTS), *_allow_values((0,))]
    )  # only for the process itself
    for number in numbers.values():
        code += _rule_for_call(number, [(_RETURN, 0, 0, _ALLOW)])
    code.append((_RETURN, 0, 0, _FAIL | errno.EPERM))
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in code)


def _rule_for_call(number: int, then: list[Instruction]) -> list[Instruction]:
    """Return instructions that execute `then`, which must end with a return, if the call has this number."""
    return [(_EQUAL, 0, len(then), number), *then]


def _clone_rules() -> list[Instruction]:
    """Return instructions that allow new threads, but neither processes nor namespaces."""
    refuse, allow = (_RETURN, 0, 0, _FAIL | errno.EPERM), (_RETURN, 0, 0, _ALLOW)
    return [(_LOAD, 0, 0, _ARGUMENTS), (_ANY_BIT, 0, 1, _THREAD), (_ANY_BIT, 0, 1, _NEW_NAMESPACES), refuse, allow]


def _allow_values(values: tuple[int, ...]) -> list[Instruction]:
    """Return instructions that allow the call if the loaded word is one of the values."""
    tests = [(_EQUAL, len(values) - place, 0, value) for place, value in enumerate(values)]
    return [*tests, (_RETURN, 0, 0, _FAIL | errno.EPERM), (_RETURN, 0, 0, _ALLOW)]


def install(code: bytes) -> None:
    """Install the filter permanently in this process. Needs `no_new_privs`."""
    prctl(PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(_Program(len(code) // 8, code)))


def is_installed() -> bool:
    """Return whether this filter is installed. It forbids even this query, which other filters may allow."""
    try:
        prctl(PR_GET_SECCOMP)
    except PermissionError:
        return True
    return False
