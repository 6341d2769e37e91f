"""`manage.py serve`: the whole of finwave under one supervisor."""

from __future__ import annotations

import argparse
import socket
from typing import IO, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.utils.module_loading import import_string
from setproctitle import setproctitle

from finwave.home import home
from finwave.jobs import supervisor


class Command(BaseCommand):
    help = "Run web and workers until Ctrl-C or SIGTERM."

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)

    def handle(self, *args: Any, host: str, port: int, **options: Any) -> None:
        try:
            with supervisor.lock_home(home()) as lock:
                check_ready()
                with supervisor.listen(host, port) as listener:
                    self.serve(lock, listener, host, port)
        except (supervisor.AlreadyRunning, supervisor.NoFreePort) as error:
            raise CommandError(str(error)) from error
        self.say("finwave has ended.")

    def serve(
        self, lock: IO[str], listener: socket.socket, host: str, port: int
    ) -> None:
        taken = listener.getsockname()[1]
        if port and taken != port:
            self.say(f"Port {port} is taken; finwave uses {taken}.")
        name = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)
        address = f"http://{f'[{name}]' if ':' in name else name}:{taken}/"
        supervisor.write_address(lock, address)
        setproctitle("finwave: supervisor")

        def when_up() -> None:
            self.say(f"finwave runs at {address} (Ctrl-C ends it).")
            if code := first_visit_code():
                self.say(f"To create the administrator, enter this code there: {code}")
            connection.close()

        supervisor.Supervisor(supervisor.programs(listener), self.say).run(
            address=address, when_up=when_up
        )

    def say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def check_ready() -> None:
    """Refuse to start on what would only show as errors in the browser."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError(
            "The database is not up to date. Run `python manage.py migrate` first."
        )
    if not settings.DEBUG and not (settings.STATIC_ROOT / "staticfiles.json").exists():
        raise CommandError(
            "The static files are missing. Run `python manage.py collectstatic` first."
        )


def first_visit_code() -> str:
    """Return the one-time code when nobody can sign in yet, else nothing."""
    # The accounts app decides; this one knows it only by name.
    return str(import_string("finwave.accounts.services.setup_code")() or "")
