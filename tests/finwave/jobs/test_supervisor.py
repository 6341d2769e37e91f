from __future__ import annotations

import os
import socket
import sys

import pytest
from django.core.management import CommandError, call_command

from finwave.jobs import supervisor
from finwave.jobs.management.commands import serve
from finwave.jobs.supervisor import Program
from tests.factories.accounts import UserFactory


def test_listen_takes_the_next_free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with supervisor.listen("127.0.0.1", port) as listener:
            assert port < listener.getsockname()[1] < port + supervisor.N_PORTS


def test_listen_says_when_no_port_is_free(monkeypatch):
    monkeypatch.setattr(supervisor, "N_PORTS", 1)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(supervisor.NoFreePort, match=f"No free port from {port}"):
            supervisor.listen("127.0.0.1", port)


def test_home_is_locked_once_and_the_other_is_named(tmp_path):
    with supervisor.lock_home(tmp_path) as lock:
        supervisor.write_address(lock, "http://127.0.0.1:8000/")

        with pytest.raises(supervisor.AlreadyRunning) as refusal:
            supervisor.lock_home(tmp_path)

    assert f"at http://127.0.0.1:8000/ (process {os.getpid()})" in str(refusal.value)
    # The lock is gone with its holder, whatever its file still says.
    supervisor.lock_home(tmp_path).close()


def test_program_that_ends_soon_waits_longer_each_time():
    program = Program("cpu worker", [sys.executable, "-c", "exit(3)"], 9, 1)
    pauses = []
    for _ in range(3):
        program.start()
        program.process.wait()
        line = program.plan_restart()
        pauses.append(program.pause_s)

    assert pauses == [1, 2, 4]
    assert line == "The cpu worker ended with code 3; it starts again in 4 s."
    assert not program.is_running


def test_serve_refuses_a_database_that_is_not_up_to_date(db, home, monkeypatch):
    monkeypatch.setattr(
        serve.MigrationExecutor, "migration_plan", lambda self, targets: ["one"]
    )

    with pytest.raises(CommandError, match="migrate"):
        call_command("serve")


def test_serve_refuses_without_static_files(db, home, settings):
    settings.STATIC_ROOT = home / "static"

    with pytest.raises(CommandError, match="collectstatic"):
        call_command("serve")


def test_code_of_the_first_visit_is_told_until_there_is_an_account(db):
    assert serve.first_visit_code()

    UserFactory()

    assert serve.first_visit_code() == ""
