"""Start the web process and both workers, keep them up, and end them together."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from django.conf import settings

from finwave.jobs.running import Flag
from finwave.jobs.tether import tethered
from finwave.jobs.timing import GRACE_S

# Ports tried after the wished one.
N_PORTS = 20
SOON_S = 30
LONGEST_PAUSE_S = 30
# The web process has nothing to save; open sockets must not hold up the end.
WEB_GRACE_S = 2


class AlreadyRunning(Exception):
    """Another finwave runs on this home folder."""


class NoFreePort(Exception):
    """All ports that were tried are taken."""


@dataclass
class Program:
    """One process that is started again whenever it ends."""

    name: str
    argv: list[str]
    # What it gets should the supervisor be killed: workers put their jobs back.
    death_signal: int
    grace_s: float
    fds: tuple[int, ...] = ()
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    start_at: float = 0.0
    pause_s: float = field(default=0.5)

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            tethered(self.argv, death_signal=self.death_signal),
            stdin=subprocess.DEVNULL,
            cwd=settings.BASE_DIR,
            pass_fds=self.fds,
            # Ctrl-C in the terminal is the supervisor's to pass on.
            start_new_session=True,
        )

    def plan_restart(self) -> str:
        """Set when to start again, later each time it ends soon; say so."""
        assert self.process is not None
        code, self.process = self.process.returncode, None
        now = time.monotonic()
        is_soon = now - self.started_at < SOON_S
        self.pause_s = min(self.pause_s * 2, LONGEST_PAUSE_S) if is_soon else 0.5
        self.start_at = now + self.pause_s
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        return f"The {self.name} {how}; it starts again in {self.pause_s:g} s."

    def send(self, number: int) -> None:
        if self.is_running and self.process is not None:
            self.process.send_signal(number)


def lock_home(home: Path) -> IO[str]:
    """Make sure that only one supervisor runs on a home folder.

    Returns:
        The locked file; the lock ends with the process, however it ends.

    Raises:
        AlreadyRunning: with the other's number and address.
    """
    # Opened for appending, so that the other's words survive this attempt.
    file = (home / "serve.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        try:
            other = json.loads(file.read())
            where = f" at {other['address']} (process {other['pid']})"
        except (ValueError, KeyError, TypeError):
            where = ""
        file.close()
        raise AlreadyRunning(
            f"finwave runs already on {home}{where}. End it first, or choose another "
            "home folder with FINWAVE_HOME."
        ) from error
    return file


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket on the port or the next free one.

    The socket stays open here and is handed to each web process, so that nobody takes
    the port meanwhile and requests wait while the web process restarts.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for candidate in range(port, min(port + N_PORTS, 65536)):
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            listener.listen(128)
        except OSError as error:
            listener.close()
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return listener
    raise NoFreePort(f"No free port from {port} to {port + N_PORTS - 1} on {host}.")


def programs(listener: socket.socket) -> list[Program]:
    manage = [sys.executable, str(settings.BASE_DIR / "manage.py")]
    proxied = ["--proxy-headers"] if settings.BEHIND_HTTPS else []
    web = [
        *(sys.executable, "-m", "daphne", "--verbosity", "0", *proxied),
        *("--fd", str(listener.fileno()), "finwave.asgi:application"),
    ]
    fds = (listener.fileno(),)
    workers = [
        Program(
            name=f"{queue} worker",
            argv=[*manage, "work", "--queue", queue],
            death_signal=signal.SIGTERM,
            grace_s=GRACE_S + 1.5,
        )
        for queue in ("cpu", "train")
    ]
    return [
        Program("web process", web, signal.SIGKILL, WEB_GRACE_S, fds=fds),
        *workers,
    ]


class Supervisor:
    def __init__(self, programs: list[Program], say: Callable[[str], None]) -> None:
        self.programs = programs
        self.say = say
        self.ending = Flag()
        self.n_asked = 0

    def run(self, *, address: str, when_up: Callable[[], None]) -> None:
        """Keep the programs up until told to end, then end them."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        is_up = False
        try:
            while not self.ending.is_set():
                self._keep_up()
                if not is_up and answers(address):
                    is_up = True
                    when_up()
                time.sleep(0.2)
        finally:
            self._end()

    def _on_signal(self, *_: object) -> None:
        self.n_asked += 1
        self.ending.set()

    def _keep_up(self) -> None:
        for program in self.programs:
            if program.is_running:
                continue
            if program.process is not None:
                self.say(program.plan_restart())
            elif time.monotonic() >= program.start_at:
                program.start()

    def _end(self) -> None:
        self.say("Ending; running jobs go back to the queue and continue next time.")
        asked_at = time.monotonic()
        n_asked = self.n_asked
        for program in self.programs:
            program.send(signal.SIGTERM)
        while running := [p for p in self.programs if p.is_running]:
            waited_s = time.monotonic() - asked_at
            for program in running:
                # Asked again: at once. What a killed worker leaves is resumed too.
                if waited_s > program.grace_s or self.n_asked > n_asked:
                    program.send(signal.SIGKILL)
            time.sleep(0.1)


def answers(address: str) -> bool:
    """Tell whether the web process answers, whatever it says."""
    try:
        urllib.request.urlopen(address, timeout=1).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


def write_address(file: IO[str], address: str) -> None:
    """Note in the lock file who runs where, for whom it keeps out."""
    file.truncate(0)
    json.dump({"pid": os.getpid(), "address": address}, file)
    file.flush()
