"""The supervisor of processes, with small real processes and real rows."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from finwave.jobs import services, subprocesses
from finwave.jobs.exceptions import Interrupted, LeaseLost, ProcessDied
from finwave.jobs.models import Event, Job
from finwave.jobs.running import JobRun, shutting_down
from finwave.jobs.subprocesses import supervise
from tests.factories.jobs import JobFactory

pytestmark = pytest.mark.django_db

SAY = """
import json, os, sys, time
events = open("events.jsonl", "a")
def say(kind, **data):
    events.write(json.dumps({"kind": kind, "data": data}) + "\\n")
    events.flush()
"""
WAIT_FOR_TERM = """
import signal
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append(1))
say("log", level="info", message="listening")
while not told and not os.path.exists("stop"):
    time.sleep(0.01)
say("log", level="info", message="told" if told else "saw the file")
"""


@pytest.fixture
def run():
    return JobRun(JobFactory(running=True, lease_token="mine"), "mine")


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    return folder


@pytest.fixture
def supervised(run, folder):
    def supervised(code, on_event=lambda event: None):
        program = f"import os; os.chdir({str(folder)!r})\n{SAY}\n{code}"
        argv = [sys.executable, "-c", program]
        return supervise(run, argv, folder=folder, on_event=on_event)

    return supervised


def ask_soon(work):
    """Do something as soon as the process has said something."""

    def on_event(event):
        if event["data"].get("message") == "listening":
            work()

    return on_event


def request_stop(run):
    services.stop_job(Job.objects.get(pk=run.job_id))


def messages():
    logs = Event.objects.filter(kind="log").values_list("data", flat=True)
    return [data["message"] for data in logs]


def test_events_are_moved_in_order_and_told_to_the_caller(run, supervised, folder):
    told = []

    code = supervised(
        "say('metrics', epoch=1); say('log', level='info', message='hello');"
        "print('to the log'); sys.exit(3)",
        told.append,
    )

    job = Job.objects.get()
    assert code == 3
    assert [event["kind"] for event in told] == ["metrics", "log"]
    assert list(Event.objects.values_list("seq", "kind")) == [
        (1, "metrics"),
        (2, "log"),
    ]
    assert "at" in Event.objects.get(kind="log").data
    assert job.moved_bytes == (folder / "events.jsonl").stat().st_size
    assert (folder / "output.log").read_text() == "to the log\n"


def test_progress_of_the_process_is_the_jobs(run, supervised):
    Job.objects.update(failed_attempts=2)

    supervised("say('progress', n_done=3, n_total=10, rate=2.0, phase='epoch 1')")

    job = Job.objects.get()
    assert (job.n_done, job.n_total, job.phase) == (3, 10, "epoch 1")
    assert (job.time_left_s, job.failed_attempts) == (3.5, 0)
    assert Event.objects.get().data["time_left_s"] == 3.5


def test_next_attempt_moves_only_what_is_new_and_cuts_a_torn_line(
    run, supervised, folder
):
    supervised("say('log', level='info', message='first')")
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"kind": "log", "data": {"mess')

    supervised("say('log', level='info', message='second')")

    assert messages() == ["first", "second"]
    for line in (folder / "events.jsonl").read_text().splitlines():
        json.loads(line)


def test_line_that_is_written_in_two_pieces_is_moved_once(run, supervised):
    supervised(
        'events.write(\'{"kind": "log", \'); events.flush(); time.sleep(0.5);'
        'events.write(\'"data": {"message": "whole"}}\\n\'); events.flush()'
    )

    assert messages() == ["whole"]


def test_unreadable_lines_are_passed_over(run, supervised):
    supervised(
        'events.write(\'nonsense\\n[1]\\n{"kind": "log"}\\n\\n\'); events.flush();'
        "say('log', level='info', message='fine')"
    )

    assert messages() == ["fine"]


def test_error_of_the_caller_moves_nothing_of_that_batch(run, supervised, folder):
    def fail(event):
        raise ValueError("no such row")

    with pytest.raises(ValueError, match="no such row"):
        supervised("say('log', level='info', message='hello'); time.sleep(60)", fail)

    assert Job.objects.get().moved_bytes == 0
    assert not Event.objects.exists()
    assert not is_running(folder)


def test_stop_reaches_the_process_as_a_signal_once_it_listens(run, supervised):
    code = supervised(WAIT_FOR_TERM, ask_soon(lambda: request_stop(run)))

    assert code == 0
    assert run.is_stopping
    # The file comes first; whichever it noticed, it ended by itself.
    assert messages()[-1] in ("told", "saw the file")


def test_stop_asked_before_the_start_does_not_kill_a_process_that_only_starts(
    run, supervised
):
    request_stop(run)

    code = supervised("time.sleep(0.5)\n" + WAIT_FOR_TERM)

    assert code == 0
    assert messages()[-1] in ("told", "saw the file")


def test_stop_file_of_an_earlier_attempt_does_not_count(run, supervised, folder):
    (folder / "stop").touch()

    code = supervised("sys.exit(9 if os.path.exists('stop') else 0)")

    assert code == 0


def test_process_that_does_not_end_when_asked_is_killed(run, supervised, monkeypatch):
    monkeypatch.setattr(subprocesses, "STOP_GRACE_S", 0.3)

    code = supervised(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
        "say('log', level='info', message='listening'); time.sleep(60)",
        ask_soon(lambda: request_stop(run)),
    )

    assert code == -signal.SIGKILL
    assert messages()[-1] == "It did not end when asked and was killed."


def test_shutdown_of_the_worker_ends_the_process_and_interrupts(run, supervised):
    with pytest.raises(Interrupted) as interruption:
        supervised(WAIT_FOR_TERM, ask_soon(shutting_down.set))

    assert not isinstance(interruption.value, ProcessDied)
    assert messages() == ["listening", "told"]


def test_signal_that_reaches_the_process_before_the_worker_is_a_shutdown(
    run, supervised
):
    # The process ends by itself with 0, as if its work were done.
    with pytest.raises(Interrupted):
        supervised(
            "say('log', level='info', message='listening')",
            ask_soon(shutting_down.set),
        )


def test_stop_wins_over_a_shutdown_at_the_same_time(run, supervised):
    def both():
        shutting_down.set()
        request_stop(run)

    assert supervised(WAIT_FOR_TERM, ask_soon(both)) == 0


def test_process_killed_from_outside_is_said_so(run, supervised):
    with pytest.raises(ProcessDied, match="ended from outside \\(SIGKILL\\)"):
        supervised("os.kill(os.getpid(), 9)")


def test_lost_lease_kills_the_process_at_once(run, supervised, folder):
    def lose():
        Job.objects.update(lease_token="somebody else's")

    with pytest.raises(LeaseLost):
        supervised(
            "say('log', level='info', message='listening'); time.sleep(0.5);"
            "say('log', level='info', message='late'); time.sleep(60)",
            ask_soon(lose),
        )

    assert messages() == ["listening"]
    assert not is_running(folder)


def test_what_the_process_started_ends_with_it(run, supervised, folder):
    supervised(
        "import subprocess; child = subprocess.Popen(['sleep', '60']);"
        "open('child', 'w').write(str(child.pid))"
    )

    pid = int((folder / "child").read_text())
    until = time.monotonic() + 20
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    assert not is_alive(pid)


def test_process_of_an_earlier_attempt_is_ended_first(run, supervised, folder):
    command = subprocesses.tethered(
        [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
        lock=str(folder / "process.lock"),
    )
    earlier = subprocess.Popen(
        command,
        env={**os.environ, subprocesses.FOLDER_VARIABLE: str(folder)},
        stdout=subprocess.PIPE,
    )
    earlier.stdout.readline()

    code = supervised("say('log', level='info', message='second')")

    assert code == 0
    assert earlier.wait(20) == -signal.SIGTERM
    earlier.stdout.close()
    assert messages() == [
        "Waiting for the process of an earlier attempt to end.",
        "second",
    ]


def test_process_number_that_is_another_process_s_is_left_alone(folder):
    stranger = subprocess.Popen(["sleep", "60"])

    subprocesses._signal(stranger.pid, folder, signal.SIGKILL)

    time.sleep(0.2)
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_second_process_cannot_work_in_the_folder(supervised, folder, monkeypatch):
    """Two supervisors that both saw a free folder: the lock lets one through."""
    monkeypatch.setattr(subprocesses, "_end_earlier", lambda folder, run: None)
    first = subprocess.Popen(
        subprocesses.tethered(
            [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"],
            lock=str(folder / "process.lock"),
        ),
        stdout=subprocess.PIPE,
    )
    first.stdout.readline()

    with pytest.raises(ProcessDied, match="Another process still works"):
        supervised("say('log', level='info', message='both')")

    first.kill()
    first.wait()
    first.stdout.close()
    assert messages() == []


def is_alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def is_running(folder):
    return subprocesses._holder(folder / "process.lock") is not None
