"""Real workers are really killed; the job must go on, or say plainly why not."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = [
    pytest.mark.kills,
    pytest.mark.slow,
    pytest.mark.timeout(240),
    pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc"),
]

ROOT = Path(__file__).resolve().parents[3]
# Generous: the machine may be busy with other things; nothing waits longer than needed.
DEADLINE_S = 60
MARKER = "FINWAVE_KILLS"
# Of 40 ms each: long enough to be killed in the middle on a busy machine.
N_STEPS = 60


def wait_for(look, what, deadline_s=DEADLINE_S):
    until = time.monotonic() + deadline_s
    while time.monotonic() < until:
        if found := look():
            return found
        time.sleep(0.05)
    pytest.fail(f"waited {deadline_s} s for {what}")
    return None


class Site:
    """A home folder with its database, and the processes that work on it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home / "test.log"
        self.env = {
            **{k: v for k, v in os.environ.items() if not k.startswith("FINWAVE_")},
            "FINWAVE_HOME": str(home),
            "DJANGO_SETTINGS_MODULE": "tests.finwave.jobs.kills_settings",
            # Titles must not overwrite the environment, in which the marker is sought.
            "SPT_NOENV": "1",
            "PYTHONWARNINGS": "ignore",
        }
        self.marked = {**self.env, MARKER: str(home)}
        self.guardian = None
        self.supervisor = None
        self.manage("migrate", "--verbosity", "0").wait()
        self.remote = subprocess.Popen(
            [sys.executable, "-m", "tests.finwave.jobs.kills_app.remote"],
            cwd=ROOT,
            env=self.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def manage(self, *arguments, **kwargs):
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "manage.py", *arguments],
                cwd=ROOT,
                env=self.marked,
                stdin=subprocess.DEVNULL,
                stdout=kwargs.pop("stdout", log),
                stderr=log,
                start_new_session=True,
                **kwargs,
            )

    def ask(self, *command):
        self.remote.stdin.write(json.dumps(command) + "\n")
        self.remote.stdin.flush()
        return json.loads(self.remote.stdout.readline())

    # Processes ----------------------------------------------------------------

    def marked_processes(self) -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            try:
                is_marked = process.environ().get(MARKER) == str(self.home)
                if is_marked and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
            except psutil.Error:
                continue
        return found

    def work(self):
        """Have a guardian with a whole cluster; return the guardian."""
        if self.guardian is None or self.guardian.poll() is not None:
            self.guardian = self.manage("work", "--queue", "cpu")
        wait_for(lambda: len(self.workers()) == 2, "two workers")
        return psutil.Process(self.guardian.pid)

    def serve(self, *arguments):
        """Start everything; return the lines it has said until it was up."""
        # Tests come in any order; another one's guardian may still be at work.
        if self.guardian is not None and self.guardian.poll() is None:
            self.end()
        self.supervisor = self.manage("serve", *arguments, stdout=subprocess.PIPE)
        lines = []
        for line in self.supervisor.stdout:
            lines.append(line.decode().strip())
            if lines[-1].startswith("finwave runs at"):
                return lines
        pytest.fail(f"serve ended: {lines}")
        return None

    def wait_supervisor(self) -> int:
        code = self.supervisor.wait(DEADLINE_S)
        self.supervisor.stdout.close()
        return code

    def served(self, word) -> psutil.Process | None:
        """The supervisor's child of that name, if it lives."""
        for child in psutil.Process(self.supervisor.pid).children():
            try:
                title = " ".join(child.cmdline())
                if word in title and child.status() != psutil.STATUS_ZOMBIE:
                    return child
            except psutil.Error:
                continue
        return None

    def cluster(self) -> list[psutil.Process]:
        """The cluster's main process and its sentinel, if both live."""
        try:
            mains = psutil.Process(self.guardian.pid).children()
            return [*mains, *(s for m in mains for s in m.children())]
        except psutil.Error:
            return []

    def workers(self) -> list[psutil.Process]:
        found = []
        for process in self.cluster()[1:]:
            for child in process.children():
                if listens_to_sigterm(child.pid):
                    found.append(child)
        return found

    def end(self) -> None:
        """End the guardian in order and wait until nothing is left."""
        if self.guardian is not None:
            self.guardian.send_signal(signal.SIGTERM)
            self.guardian.wait(DEADLINE_S)
        self.expect_no_process()

    def expect_no_process(self) -> None:
        wait_for(lambda: not self.marked_processes(), "no process to be left")

    # Jobs ---------------------------------------------------------------------

    def start(self, kind, n_total=N_STEPS):
        return self.ask("start", kind, n_total)

    def look(self, pk):
        return self.ask("look", pk)

    def wait_busy(self, pk, n_done=5):
        def is_busy():
            job = self.look(pk)
            return job["n_done"] >= n_done and job["holder"] and job

        return wait_for(is_busy, f"job {pk} to get to {n_done}")

    def wait_ended(self, pk):
        def has_ended():
            job = self.look(pk)
            return job["status"] in ("completed", "failed", "stopped") and job

        return wait_for(has_ended, f"job {pk} to end")

    def expect_completed(self, pk, n_total=N_STEPS):
        job = self.wait_ended(pk)
        assert (job["status"], job["reason"]) == ("completed", "")
        assert job["n_done"] == n_total
        self.expect_numbered(job)
        return job

    def expect_numbered(self, job) -> None:
        numbers = [seq for seq, _, _ in job["events"]]
        assert numbers == list(range(1, len(numbers) + 1))

    def expect_trained(self, pk, n_total=N_STEPS):
        """The result and every step's event are those of an uninterrupted run."""
        job = self.expect_completed(pk, n_total)
        result = json.loads((self.folder(pk) / "result.json").read_text())
        assert result == {
            "outcome": "finished",
            "step": n_total,
            "hash": chain(n_total)[-1],
        }
        steps = [data["hash"] for _, kind, data in job["events"] if kind == "progress"]
        assert steps == chain(n_total)
        return job

    def folder(self, pk) -> Path:
        return self.home / "jobs" / str(pk)

    def trainer(self, pk) -> psutil.Process:
        lock = self.folder(pk) / "process.lock"
        return psutil.Process(int(lock.read_text()))


def listens_to_sigterm(pid) -> bool:
    """Of a cluster's processes only the workers do."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    blocked = int(re.search(r"^SigBlk:\s*(\w+)", status, re.MULTILINE)[1], 16)
    return not blocked & 1 << (signal.SIGTERM - 1)


def chain(n_steps):
    hashes, last = [], ""
    for step in range(1, n_steps + 1):
        last = hashlib.sha256(f"{last}{step}".encode()).hexdigest()
        hashes.append(last)
    return hashes


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("kills"))
    yield site
    for process in site.marked_processes():
        process.kill()
    if site.guardian is not None:
        site.guardian.wait(DEADLINE_S)
    if site.supervisor is not None and not site.supervisor.stdout.closed:
        site.wait_supervisor()
    site.remote.stdin.close()
    site.remote.wait(DEADLINE_S)
    site.remote.stdout.close()


@pytest.fixture(autouse=True)
def nothing_stuck(site):
    yield
    assert site.ask("unfinished") == []


def test_stop_by_the_user_ends_the_training_and_keeps_its_checkpoint(site):
    site.work()
    pk = site.start("train", 500)
    site.wait_busy(pk)
    trainer = site.trainer(pk)

    site.ask("stop", pk)

    job = site.wait_ended(pk)
    assert job["status"] == "stopped"
    wait_for(lambda: not trainer.is_running(), "the trainer to be gone")
    result = json.loads((site.folder(pk) / "result.json").read_text())
    assert result["outcome"] == "stopped"
    assert result["hash"] == chain(500)[result["step"] - 1]
    assert job["n_done"] == result["step"]
    site.expect_numbered(job)


def test_kill_of_the_training_process_resumes(site):
    site.work()
    pk = site.start("train")
    site.wait_busy(pk, 15)

    site.trainer(pk).kill()

    assert site.expect_trained(pk)["attempt"] == 2


def test_kill_of_a_busy_worker_resumes_both_its_job_and_the_training(site):
    site.work()
    count, train = site.start("count"), site.start("train")
    holders = {site.wait_busy(count)["holder"], site.wait_busy(train)["holder"]}

    for pid in holders:
        os.kill(pid, signal.SIGKILL)

    assert site.expect_completed(count)["attempt"] == 2
    assert site.expect_trained(train)["attempt"] == 2


def test_kill_of_idle_workers_does_not_hang_the_queue(site):
    site.work()
    idle = site.workers()

    for worker in idle:
        worker.kill()
    pk = site.start("count", 10)

    site.expect_completed(pk, 10)


@pytest.mark.parametrize("index", [0, 1], ids=["main", "sentinel"])
def test_kill_of_the_cluster_leaves_no_orphan_and_resumes(site, index):
    site.work()
    pk = site.start("train")
    site.wait_busy(pk)
    before = {p.pid for p in (*site.cluster(), *site.workers())}

    site.cluster()[index].kill()

    site.expect_trained(pk)
    assert not before & {p.pid for p in site.marked_processes()}


def test_duplicate_deliveries_run_the_job_once(site):
    site.work()
    pk = site.start("count", 30)
    for _ in range(3):
        site.ask("deliver", pk)

    job = site.expect_completed(pk, 30)

    assert job["attempt"] == 1
    assert (site.folder(pk) / "count").read_text() == "30"


def test_handler_that_kills_its_process_is_given_up_with_the_reason(site):
    site.work()
    pk = site.start("suicide")

    job = site.wait_ended(pk)

    assert job["status"] == "failed"
    assert job["attempt"] == 3
    assert job["reason"].startswith("Given up after 3 attempts in a row")


def test_kill_of_the_guardian_leaves_no_process_and_the_next_one_resumes(site):
    site.work()
    pk = site.start("train")
    site.wait_busy(pk)

    site.guardian.kill()
    site.guardian.wait()
    site.expect_no_process()

    site.work()
    site.expect_trained(pk)


def test_kill_of_everything_at_once_and_a_restart_resumes(site):
    site.work()
    count, train = site.start("count"), site.start("train")
    waiting = site.start("count", 3)
    site.wait_busy(count)
    site.wait_busy(train, 15)

    for process in site.marked_processes():
        process.kill()
    site.guardian.wait()
    site.expect_no_process()

    site.work()
    site.expect_completed(count)
    site.expect_trained(train)
    site.expect_completed(waiting, 3)


@pytest.mark.parametrize("reach", ["guardian", "every process"])
def test_sigterm_puts_jobs_back_and_ends_everything_soon(site, reach):
    site.work()
    count, train = site.start("count"), site.start("train")
    site.wait_busy(count)
    site.wait_busy(train)
    told = (
        [psutil.Process(site.guardian.pid)]
        if reach == "guardian"
        else site.marked_processes()
    )

    for process in told:
        process.send_signal(signal.SIGTERM)
    asked_at = time.monotonic()
    site.guardian.wait(DEADLINE_S)
    site.expect_no_process()

    assert time.monotonic() - asked_at < 15
    for pk in (count, train):
        job = site.look(pk)
        assert job["status"] == "queued"
        assert job["reason"] == "The worker shut down; it continues where it was."
    site.work()
    site.expect_completed(count)
    site.expect_trained(train)


def test_stop_asked_while_nobody_works_is_done_by_the_next_worker(site):
    site.work()
    pk = site.start("train")
    site.wait_busy(pk)
    site.end()

    site.ask("stop", pk)
    site.work()

    assert site.wait_ended(pk)["status"] == "stopped"
    site.end()


# Everything under one supervisor ----------------------------------------------


def fetch(address):
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.read()
    except OSError:
        return None


def test_serve_starts_all_brings_back_what_is_killed_and_ends_all(site):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said, said_up = site.serve("--port", str(port))[-2:]
    address = said_up.split()[3]
    other = f"http://127.0.0.1:{port}/"
    assert said.startswith(f"Port {port} is taken; finwave uses ")
    assert address != other
    assert fetch(address) == b"up"

    second = site.manage("serve", stdout=subprocess.DEVNULL)
    assert second.wait(DEADLINE_S) == 1
    assert f"finwave runs already on {site.home} at {address}" in site.log.read_text()

    pk = site.start("train")
    site.wait_busy(pk)
    before = {name: site.served(name) for name in ("daphne", "cpu", "train")}
    for process in before.values():
        process.kill()
    for name, process in before.items():
        wait_for(
            lambda name=name, process=process: site.served(name) not in (None, process),
            f"{name} to be back",
        )
    wait_for(lambda: fetch(address) == b"up", "the web process to answer again")
    site.expect_trained(pk)

    asked_at = time.monotonic()
    site.supervisor.send_signal(signal.SIGINT)
    assert site.wait_supervisor() == 0
    assert time.monotonic() - asked_at < 15
    site.expect_no_process()


def test_kill_of_the_supervisor_leaves_no_process(site):
    site.serve("--port", "0")
    pk = site.start("train")
    site.wait_busy(pk)

    site.supervisor.kill()
    site.wait_supervisor()

    site.expect_no_process()
    assert site.look(pk)["status"] == "queued"
    site.work()
    site.expect_trained(pk)
    site.end()
