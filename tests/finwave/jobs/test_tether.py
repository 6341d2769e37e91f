"""A process that dies with its parent, tied by the kernel or by a thread."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import psutil
import pytest

from finwave.jobs import tether

CHILD = "import time; print(flush=True); time.sleep(60)"


def wait_gone(pid):
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        time.sleep(0.02)
    return False


def parent_of(child_code):
    """A parent that starts a child, says its number, and waits to be killed."""
    code = (
        "import subprocess, sys, time; from finwave.jobs.tether import tethered;"
        f"child = subprocess.Popen(tethered([sys.executable, '-c', {child_code!r}]),"
        "stdout=subprocess.PIPE); child.stdout.readline();"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


def kill_parent(parent):
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    return child


@pytest.mark.skipif(not tether.IS_LINUX, reason="the kernel of Linux does it")
def test_child_dies_with_its_parent():
    assert wait_gone(kill_parent(parent_of(CHILD)))


def test_child_that_watches_dies_with_its_parent():
    watching = (
        "import ctypes;"
        # What the kernel would do is undone, so that only the thread is left.
        "from finwave.jobs import tether;"
        "tether.IS_LINUX and ctypes.CDLL(None).prctl(tether.PR_SET_PDEATHSIG, 0);"
        "tether.watch_parent(is_needed=True);"
    )

    assert wait_gone(kill_parent(parent_of(watching + CHILD)))


def test_forks_of_forks_die_with_their_parents():
    code = (
        "import os, time; from finwave.jobs import tether; tether.tie_forks();"
        "child = os.fork()\n"
        "if not child:\n"
        "    grandchild = os.fork()\n"
        "    if grandchild: print(os.getpid(), grandchild, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    pids = [int(pid) for pid in parent.stdout.readline().split()]

    parent.kill()
    parent.wait()
    parent.stdout.close()

    if not tether.IS_LINUX:
        return
    assert len(pids) == 2
    assert all(wait_gone(pid) for pid in pids)


def test_program_is_not_run_while_another_holds_the_lock(tmp_path):
    lock = str(tmp_path / "lock")
    argv = tether.tethered([sys.executable, "-c", CHILD], lock=lock)
    first = subprocess.Popen(argv, stdout=subprocess.PIPE)
    first.stdout.readline()

    second = subprocess.run(argv, check=False)
    first.kill()
    first.wait()
    first.stdout.close()
    third = subprocess.run(
        tether.tethered([sys.executable, "-c", ""], lock=lock), check=False
    )

    assert second.returncode == tether.LOCKED
    assert third.returncode == 0


def test_program_whose_parent_is_gone_already_does_not_start():
    argv = tether.tethered([sys.executable, "-c", "print('ran')"])
    gone = 2**22 + 1
    argv[argv.index(str(psutil.Process().pid))] = str(gone)

    result = subprocess.run(argv, check=False, capture_output=True)

    assert result.returncode == -signal.SIGKILL
    assert result.stdout == b""
