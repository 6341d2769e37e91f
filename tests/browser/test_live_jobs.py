"""Jobs on real pages, followed over a real socket that is cut now and then."""

from __future__ import annotations

import json
import subprocess
import sys
import time

import psutil
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import ROOT

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

HAND = """
import json, sys
import django
django.setup()
from datetime import timedelta
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from finwave.jobs import services
from finwave.jobs.models import Job
from populations.models import Membership, Population

def prepare():
    user, _ = User.objects.get_or_create(username="live", is_superuser=True)
    bay, _ = Population.objects.get_or_create(name="Live bay", slug="live-bay")
    client = Client()
    client.force_login(user)
    return [bay.pk, client.cookies[settings.SESSION_COOKIE_NAME].value]

def job(scope):
    # Held by a worker elsewhere, whose heart beat in the future: left alone here.
    return Job.objects.create(
        kind="populations.demo", queue="cpu", title="Count the waves", scope_id=scope,
        subject_id=scope, status="running", lease_token="hand", attempt=1, n_total=1000,
        lease_owner="elsewhere:1:1", heartbeat_at=timezone.now() + timedelta(hours=1),
    ).pk

def progress(pk, n_done):
    Job.objects.filter(pk=pk).update(n_done=n_done)
    services.append_event(pk, "progress", {
        "n_done": n_done, "n_failed": 2, "n_total": 1000, "rate": 12.5,
        "time_left_s": 80, "phase": "counting",
    })

def status(pk):
    return Job.objects.get(pk=pk).status

def finish(pk, status):
    services.finish(pk, "hand", status, "Because.")

for line in sys.stdin:
    name, *arguments = json.loads(line)
    print(json.dumps(globals()[name](*arguments)), flush=True)
"""


@pytest.fixture
def hand(server):
    """Write to the server's database from a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", HAND],
        cwd=ROOT,
        env={**server.environment(), "DJANGO_SETTINGS_MODULE": "finwave.settings"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def hand(*command):
        process.stdin.write(json.dumps(command) + "\n")
        process.stdin.flush()
        return json.loads(process.stdout.readline())

    yield hand
    process.stdin.close()
    process.wait()
    process.stdout.close()


@pytest.fixture
def job(hand, page, server):
    scope, session = hand("prepare")
    page.context.add_cookies(
        [{"name": "sessionid", "value": session, "url": server.url}]
    )
    pk = hand("job", scope)
    yield pk
    if hand("status", pk) not in ("completed", "stopped", "failed"):
        hand("finish", pk, "stopped")


def component(page, pk):
    return page.locator(f"#job-{pk}-progress")


def open_overview(page, pk):
    page.goto("/populations/live-bay/")
    expect(component(page, pk)).to_have_attribute("data-live-open", "")


def record(page, pk):
    """Have the page note the number of every message its component gets."""
    page.evaluate(
        """(pk) => {
          window.got = [];
          document.addEventListener("finwave:job-event", (event) => {
            if (event.target.id === `job-${pk}-progress`) got.push(event.detail.seq);
          });
        }""",
        pk,
    )


def kill_web(server):
    for child in psutil.Process(server.process.pid).children():
        if "daphne" in " ".join(child.cmdline()):
            child.kill()


def test_progress_moves_on_the_page_and_in_the_rail(page, hand, job):
    open_overview(page, job)

    hand("progress", job, 250)

    shown = component(page, job)
    expect(shown.locator("[data-job-percent]")).to_have_text("25 %")
    expect(shown.locator("progress")).to_have_js_property("value", 25)
    expect(shown).to_contain_text("250 of 1\u202f000 photos")
    expect(shown).to_contain_text("2 failed")
    expect(shown).to_contain_text("12.5 photos/s")
    expect(shown).to_contain_text("1\u202fmin 20\u202fs left")
    expect(shown).to_contain_text("counting")
    rail = page.locator("#rail-jobs")
    expect(rail).to_contain_text("25 %")
    expect(rail.locator("[data-job-ring]")).to_have_attribute(
        "stroke-dasharray", "25 100"
    )


def test_stop_and_end_are_seen_without_reloading(page, hand, job):
    open_overview(page, job)
    page.evaluate("window.isSamePage = true")

    component(page, job).get_by_role("button", name="Stop").click()

    expect(component(page, job)).to_contain_text("Stopping")
    assert hand("status", job) == "stopping"
    hand("finish", job, "stopped")
    expect(component(page, job)).to_have_count(0)
    assert page.evaluate("window.isSamePage")
    expect(page.locator("#rail-jobs")).not_to_contain_text("Count the waves")


def test_every_message_arrives_once_and_in_order_though_the_web_is_killed(
    page, hand, job, server
):
    open_overview(page, job)
    record(page, job)

    for n in range(1, 201):
        hand("progress", job, n)
        if n % 70 == 0:
            kill_web(server)
            time.sleep(0.5)

    done = component(page, job).locator("[data-job-done]")
    expect(done).to_have_text("200", timeout=60_000)
    assert page.evaluate("got") == list(range(1, 201))


def test_part_that_is_swapped_in_late_misses_nothing(page, hand, job):
    open_overview(page, job)
    hand("progress", job, 10)
    expect(component(page, job).locator("[data-job-done]")).to_have_text("10")
    record(page, job)

    # The same part as it was rendered before the last message.
    page.evaluate(
        """(pk) => {
          const old = document.getElementById(`job-${pk}-progress`);
          const late = old.cloneNode(true);
          late.dataset.liveAfter = "0";
          late.querySelector("[data-job-done]").textContent = "0";
          old.replaceWith(late);
        }""",
        job,
    )

    expect(component(page, job).locator("[data-job-done]")).to_have_text("10")
    hand("progress", job, 11)
    expect(component(page, job).locator("[data-job-done]")).to_have_text("11")
    assert page.evaluate("got") == [1, 2]
