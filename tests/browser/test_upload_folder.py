"""A folder goes into the browser, over a connection that breaks, and is imported."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import manage

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

PREPARE = """
from django.contrib.auth.models import User
from populations.models import Population
from populations.services.people import create_population
user, is_new = User.objects.get_or_create(username="sender", is_superuser=True)
user.set_password("a folder of seals")
user.save()
if is_new:
    create_population(population=Population(name="Sending bay"), user=user)
"""


@pytest.fixture
def folder(tmp_path):
    """Thirty photographs of three individuals, and what must not be taken for one."""
    root = tmp_path / "survey"
    rng = np.random.default_rng(5)
    for n in range(30):
        path = root / f"T{n % 3}" / f"{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (60, 80, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    (root / "T0" / "broken.jpg").write_bytes(b"no photograph")
    (root / ".DS_Store").write_bytes(b"junk")
    return root


@pytest.fixture
def signed_in(browser, server) -> Page:
    manage(server.home, "shell", "--verbosity", "0", "--command", PREPARE)
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/populations/")
    page.get_by_label("Username").fill("sender")
    page.get_by_label("Password").fill("a folder of seals")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Populations")).to_be_visible()
    yield page
    context.close()


def test_a_folder_is_sent_over_a_connection_that_breaks(signed_in, folder):
    page = signed_in
    n_sent = [0]

    def breaks(route):
        n_sent[0] += 1
        # Long enough broken that the script gives two parts up and asks.
        route.abort() if n_sent[0] <= 7 else route.continue_()

    page.route("**/files/", breaks)
    page.goto("/populations/sending-bay/imports/new/")
    page.locator("[data-folder-input]").first.set_input_files(folder)
    expect(page.get_by_text("32 files chosen")).to_be_visible()
    page.get_by_role("button", name="Preview the import").click()

    expect(page.get_by_text("files did not arrive")).to_be_visible(timeout=20_000)
    expect(page.locator("[data-upload-failed] li").first).to_contain_text("broke off")
    page.get_by_role("button", name="Send these again").click()

    page.wait_for_url(re.compile(r"/imports/\d+/$"))
    expect(page.get_by_text("New: T0, T1, T2.")).to_be_visible()
    page.get_by_role("button", name="Import 31 photographs").click()

    expect(page.get_by_text("Completed").first).to_be_visible(timeout=60_000)
    expect(page.get_by_role("link", name="Imported 30")).to_be_visible()
    page.get_by_role("link", name="Refused 1").click()
    expect(page.get_by_role("cell", name="survey/T0/broken.jpg")).to_be_visible()

    # What came in is walked through with the keyboard.
    page.goto("/populations/sending-bay/photos/")
    tiles = page.locator(".photo-tile a")
    expect(tiles).to_have_count(30)
    tiles.nth(0).click()
    page.wait_for_url(re.compile(r"/photos/\d+/$"))
    title = page.get_by_role("heading", level=1)
    first = title.inner_text()
    page.keyboard.press("ArrowRight")
    expect(title).not_to_have_text(first)
    # Keys are heard once the page's modules have run.
    page.wait_for_load_state("load")
    page.keyboard.press("ArrowLeft")
    expect(title).to_have_text(first)
