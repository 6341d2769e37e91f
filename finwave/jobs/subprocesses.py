"""Supervise a process that does a job's work in a folder of its own.

The process knows nothing of the database: it writes whole JSON lines to
`events.jsonl`, and this moves them to event rows, each exactly once.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
from django.db import transaction
from django.utils import timezone

from finwave.jobs import services
from finwave.jobs.exceptions import Interrupted, JobError, ProcessDied
from finwave.jobs.models import Job
from finwave.jobs.running import SHUT_DOWN, JobRun, shutting_down
from finwave.jobs.tether import LOCKED, tethered
from finwave.jobs.timing import STOP_GRACE_S

logger = logging.getLogger(__name__)

POLL_S = 0.2
SOON_S = 0.05
MOVED_AT_ONCE_BYTES = 1 << 20
# What an earlier attempt's process has to finish its checkpoint before it is killed.
EARLIER_GRACE_S = 30
# Says in the process's environment which folder it works in.
FOLDER_VARIABLE = "FINWAVE_JOB_FOLDER"
PROGRESS_FIELDS = ("n_done", "n_failed", "n_total", "rate", "time_left_s", "phase")

OnEvent = Callable[[dict[str, Any]], None]


def supervise(
    run: JobRun,
    argv: list[str],
    *,
    folder: Path,
    on_event: OnEvent,
    env: dict[str, str] | None = None,
) -> int:
    """Run a process to its end and return its exit code.

    The code is negative only when a stop was asked for and the process had to be
    killed. A stop request reaches it as SIGTERM. Its output goes to `output.log`. `on_event`
    is called for every line inside the transaction that moves it: write rows there,
    do nothing slow.

    Raises:
        Interrupted: the worker shut down; the process was told to end and has.
        ProcessDied: something killed the process; it resumes with the next attempt.
        LeaseLost: somebody else holds the job; the process was killed.
        JobError: a process of an earlier attempt cannot be ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _end_earlier(folder, run)
    mover = _Mover(run, folder / "events.jsonl", on_event)
    mover.cut_torn_line()
    stop_file = folder / "stop"
    stop_file.unlink(missing_ok=True)
    process = _start(argv, folder, env or {})
    try:
        interruption = _follow(run, process, mover, stop_file)
    finally:
        # Whatever went wrong here, nobody would read what it goes on writing; and
        # what it started itself is no use without it.
        _kill(process)
    code = process.returncode
    if code == LOCKED:
        raise ProcessDied("Another process still works on this job.")
    # The signal that ends the worker may have reached the process first.
    if interruption is None and shutting_down.is_set():
        interruption = Interrupted(SHUT_DOWN)
    # Asked at the end: the request may have come while the process ended because of
    # the shutdown, and what it left is a stopped job's.
    if (interruption or code < 0) and not run.is_stop_requested():
        raise interruption or ProcessDied(
            f"Its process was ended from outside ({_name(-code)})."
        )
    return code


def _start(
    argv: list[str], folder: Path, env: dict[str, str]
) -> subprocess.Popen[bytes]:
    # SIGTERM, not SIGKILL, when the worker dies: the process saves what it has.
    command = tethered(
        argv, death_signal=signal.SIGTERM, lock=str(folder / "process.lock")
    )
    with (folder / "output.log").open("ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, FOLDER_VARIABLE: str(folder), **env},
            # Ctrl-C in the terminal is the worker's to pass on.
            start_new_session=True,
        )


def _follow(
    run: JobRun, process: subprocess.Popen[bytes], mover: _Mover, stop_file: Path
) -> Interrupted | None:
    """Move events until the process ends, pass a stop on, return an interruption."""
    interruption: Interrupted | None = None
    asked_at: float | None = None
    while process.poll() is None:
        mover.move()
        run.check_lease()
        if asked_at is None:
            try:
                is_asked = run.should_stop()
            except Interrupted as error:
                interruption, is_asked = error, True
            if is_asked:
                asked_at = time.monotonic()
                # A process that only starts does not catch signals yet: it would die
                # and leave no result. Its first event says that it does. Never both:
                # one that ends because of the file dies of the signal meanwhile.
                if interruption or mover.has_moved:
                    process.terminate()
                else:
                    stop_file.touch()
        elif time.monotonic() - asked_at > STOP_GRACE_S:
            run.log("It did not end when asked and was killed.", "warning")
            _kill(process)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(POLL_S if asked_at is None else SOON_S)
    mover.move()
    return interruption


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and what it started, which shares its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody left; the latter on macOS
        process.kill()
    process.wait()


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# An earlier attempt's process -------------------------------------------------


def _end_earlier(folder: Path, run: JobRun) -> None:
    """Wait until nobody works in the folder any more, and see to it."""
    lock = folder / "process.lock"
    asked_to_end = time.monotonic()
    is_first = True
    while pid := _holder(lock):
        run.should_stop()
        elapsed = time.monotonic() - asked_to_end
        if is_first:
            run.log("Waiting for the process of an earlier attempt to end.")
            _signal(pid, folder, signal.SIGTERM)
            is_first = False
        elif elapsed > 2 * EARLIER_GRACE_S:
            raise JobError("The process of an earlier attempt cannot be ended.")
        elif elapsed > EARLIER_GRACE_S:
            _signal(pid, folder, signal.SIGKILL)
        time.sleep(POLL_S)


def _holder(lock: Path) -> int | None:
    """Return the number of the process that holds the lock, -1 if it did not say."""
    if not lock.exists():
        return None
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            content = file.read().strip()
            return int(content) if content.isdigit() else -1
    return None


def _signal(pid: int, folder: Path, number: int) -> None:
    try:
        process = psutil.Process(pid)
        # The number may be another process's by now.
        if process.environ().get(FOLDER_VARIABLE) == str(folder):
            process.send_signal(number)
    except psutil.Error:
        logger.warning("process=%s of an earlier attempt not signalled", pid)


# Events -----------------------------------------------------------------------


class _Mover:
    """Moves whole lines of the event file to rows, in the order of the file."""

    def __init__(self, run: JobRun, path: Path, on_event: OnEvent) -> None:
        self.run = run
        self.path = path
        self.on_event = on_event
        self.has_moved = False
        self.moved_bytes = (
            Job.objects.filter(pk=run.job_id)
            .values_list("moved_bytes", flat=True)
            .first()
            or 0
        )

    def cut_torn_line(self) -> None:
        """Cut off a last line that a killed process did not finish.

        Otherwise the next process's first line would continue it.
        """
        if not self.path.exists() or self.path.stat().st_size <= self.moved_bytes:
            return
        with self.path.open("rb+") as file:
            file.seek(self.moved_bytes)
            whole = file.read().rfind(b"\n") + 1
            file.truncate(self.moved_bytes + whole)

    def move(self) -> None:
        while lines := self._read():
            events = [event for line in lines if (event := self._parse(line))]
            end = self.moved_bytes + sum(map(len, lines))
            with transaction.atomic():
                # The offset commits with the rows: killed before or after, each line
                # is moved once. The token keeps an overtaken holder out.
                services.update_held(self.run.job_id, self.run.token, moved_bytes=end)
                self._write(events)
            self.moved_bytes = end
            self.has_moved = True

    def _read(self) -> list[bytes]:
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.moved_bytes)
            lines = file.readlines(MOVED_AT_ONCE_BYTES)
        # The last line may be half written; it is read again once it is whole.
        return lines if lines and lines[-1].endswith(b"\n") else lines[:-1]

    def _parse(self, line: bytes) -> dict[str, Any] | None:
        try:
            event = json.loads(line)
            return {"kind": str(event["kind"])[:30], "data": dict(event["data"])}
        except (ValueError, TypeError, KeyError):
            logger.warning("job=%s unreadable event %r", self.run.job_id, line[:200])
            return None

    def _write(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            if event["kind"] == "progress":
                fields = {
                    k: v for k, v in event["data"].items() if k in PROGRESS_FIELDS
                }
                event["data"] = {**event["data"], **self.run.write_progress(fields)}
            elif event["kind"] == "log":
                event["data"].setdefault("at", timezone.now().isoformat())
        if events:
            services.append_events(
                self.run.job_id,
                [(event["kind"], event["data"]) for event in events],
                token=self.run.token,
            )
        for event in events:
            self.on_event(event)
