"""Real servers, real workers, a real Chromium."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.ensure_browser import find_browser

ROOT = Path(__file__).resolve().parents[2]
SHOTS = Path(os.environ.get("FINWAVE_TEST_SHOTS", ROOT / "test-results"))

# Played by hand so that nothing of the test process's settings leaks in.
KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV")


@dataclass(frozen=True)
class Server:
    """A whole finwave: supervisor, web, both workers, on a home of its own."""

    url: str
    home: Path
    process: subprocess.Popen[str]
    log: Path

    def environment(self) -> dict[str, str]:
        return environment(self.home)


def environment(home: Path) -> dict[str, str]:
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "FINWAVE_HOME": str(home), "HF_HUB_OFFLINE": "1"}


def manage(home: Path, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=environment(home),
        check=True,
        capture_output=True,
    )


@contextmanager
def serving(home: Path, *, port: int = 0) -> Iterator[Server]:
    """Start all of finwave as `make run` does, and end it as Ctrl-C does."""
    log = home / "serve.log"
    with log.open("a") as output:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "serve", "--port", str(port)],
            cwd=ROOT,
            env={**environment(home), "PYTHONUNBUFFERED": "1"},
            stdout=output,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    try:
        yield Server(wait_for_address(process, log), home, process, log)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def wait_for_address(process: subprocess.Popen[str], log: Path) -> str:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        found = re.search(r"http://127\.0\.0\.1:\d+", log.read_text())
        if found:
            return found.group()
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(f"finwave did not start:\n{log.read_text()}")


@pytest.fixture(scope="module")
def prepared_home(tmp_path_factory) -> Path:
    """A home folder as `make run` prepares it."""
    home = tmp_path_factory.mktemp("served")
    manage(home, "migrate", "--verbosity", "0")
    manage(home, "collectstatic", "--noinput", "--verbosity", "0")
    manage(home, "prepare")
    return home


@pytest.fixture(scope="module")
def server(prepared_home) -> Iterator[Server]:
    with serving(prepared_home) as running:
        yield running


# By module: as long as Playwright is open this thread has a running event loop, in which
# Django refuses its database and asyncio tests cannot run.
@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=find_browser(),
            args=[
                "--no-sandbox",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield launched
        launched.close()


@pytest.fixture
def page(browser, server, request) -> Iterator[Page]:
    """A fresh page that fails its test on an error in the console."""
    context = browser.new_context(
        base_url=server.url, viewport={"width": 1440, "height": 900}
    )
    errors: list[str] = []
    opened = context.new_page()
    opened.set_default_timeout(15_000)
    opened.on(
        "console",
        lambda message: (
            errors.append(f"{message.text} ({message.location})")
            if message.type == "error"
            else None
        ),
    )
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    if getattr(request.node, "failed", False):
        SHOTS.mkdir(parents=True, exist_ok=True)
        opened.screenshot(path=SHOTS / f"{request.node.name}.png", full_page=True)
        (SHOTS / f"{request.node.name}.log").write_text(server.log.read_text())
    context.close()
    assert errors == []


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call" and report.failed:
        item.failed = True
    return report
