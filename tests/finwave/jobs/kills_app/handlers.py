"""Handlers that are easy to kill: each takes its length from the row's `n_total`."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from finwave.home import job_folder
from finwave.jobs.exceptions import JobError
from finwave.jobs.models import Job
from finwave.jobs.subprocesses import supervise

STEP_S = 0.04


def anybody(user, job):
    return True


def url(job):
    return "/"


def count(run):
    """Count slowly in the worker itself; the file is what was done."""
    n_total = Job.objects.get(pk=run.job_id).n_total
    run.begin(n_total=n_total)
    folder = job_folder(run.job_id)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "count"
    n_done = int(file.read_text()) if file.exists() else 0
    while n_done < n_total:
        if run.should_stop():
            break
        time.sleep(STEP_S)
        n_done += 1
        fresh = file.with_suffix(".tmp")
        fresh.write_text(str(n_done))
        fresh.replace(file)
        run.progress(n_done)


def train(run):
    """Supervise a process that could be training."""
    n_total = Job.objects.get(pk=run.job_id).n_total
    run.begin(n_total=n_total)
    folder = job_folder(run.job_id)
    code = supervise(
        run,
        [sys.executable, str(Path(__file__).with_name("trainer.py")), str(folder)],
        folder=folder,
        env={"STEPS": str(n_total), "STEP_S": str(STEP_S)},
        on_event=lambda event: None,
    )
    if code:
        raise JobError(f"The trainer ended with code {code}.")


def suicide(run):
    run.begin(n_total=1)
    os.kill(os.getpid(), signal.SIGKILL)
