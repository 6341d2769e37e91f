"""Tie a process to its parent, so that a kill -9 of the parent leaves no orphan.

Standard library only: it also runs as a script between fork and the real program,
`python -I -S tether.py PARENT SIGNAL LOCK PROGRAM...`, because running Python code
between fork and exec (`preexec_fn`) deadlocks in a process with threads.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1
IS_LINUX = sys.platform == "linux"
# The program's parent, for what cannot be tied by the kernel (macOS).
PARENT_VARIABLE = "FINWAVE_PARENT_PID"
# Exit code when another process holds the lock (EX_TEMPFAIL of sysexits.h).
LOCKED = 75


def tethered(
    argv: list[str], *, death_signal: int = signal.SIGKILL, lock: str = "-"
) -> list[str]:
    """Return a command that runs `argv` tied to the calling process.

    Args:
        argv: The program and its arguments.
        death_signal: What the program gets when the calling thread's process dies.
            The kernel means the *thread* that started it: start from a thread that
            lives as long as the process.
        lock: A file that the program keeps locked as long as it lives; its process
            number is written into it. "-" for none.
    """
    return [
        *(sys.executable, "-I", "-S", __file__),
        *(str(os.getpid()), str(int(death_signal)), lock),
        *argv,
    ]


def die_with_parent(parent: int, death_signal: int = signal.SIGKILL) -> None:
    """Let the kernel send this process a signal when its parent dies."""
    if IS_LINUX:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(death_signal))
    # The parent may have died before the call.
    if os.getppid() != parent:
        os.kill(os.getpid(), death_signal)


def watch_parent(
    death_signal: int = signal.SIGKILL, *, is_needed: bool = not IS_LINUX
) -> None:
    """Where the kernel cannot do it, watch the parent from a thread."""
    parent = os.environ.get(PARENT_VARIABLE, "")
    if not is_needed or not parent.isdigit():
        return

    def watch() -> None:
        while os.getppid() == int(parent):
            time.sleep(0.5)
        os.kill(os.getpid(), death_signal)

    threading.Thread(target=watch, daemon=True, name="tether").start()


def tie_forks(death_signal: int = signal.SIGKILL) -> None:
    """Tie every process forked from this one, and theirs, to their parents."""
    family = {"parent": os.getpid()}

    def in_child() -> None:
        parent, family["parent"] = family["parent"], os.getpid()
        os.environ[PARENT_VARIABLE] = str(parent)
        die_with_parent(parent, death_signal)
        watch_parent(death_signal)

    os.register_at_fork(after_in_child=in_child)


def _take(lock: str) -> None:
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        sys.exit(LOCKED)
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    # The lock lives in the open file, which the program inherits.
    os.set_inheritable(descriptor, True)


def main() -> None:
    parent, death_signal, lock, *argv = sys.argv[1:]
    os.environ[PARENT_VARIABLE] = parent
    die_with_parent(int(parent), int(death_signal))
    if lock != "-":
        _take(lock)
    os.execvp(argv[0], argv)


if __name__ == "__main__":
    main()
