"""The whole main job on the demo population, in the browser, timed, and its accuracy.

Starts finwave on a new home folder as `make run` does, walks from the first page to the
suggestions for the two encounters that were kept back, and compares the suggestions with
who was rendered. Prints the time of each stage and the accuracy.

    python -m bench.demo
"""

from __future__ import annotations

import argparse
import csv
import os
import platform
import re
import sqlite3
import statistics
import tempfile
import time
from collections import Counter, defaultdict
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

from tests.browser.conftest import manage, serving
from tests.browser.ensure_browser import find_browser

MINUTE = 60_000
DEMO = "/populations/demo-rendered-dolphins/"


class Laps:
    """Says when each stage was done."""

    def __init__(self) -> None:
        self.start = self.last = time.monotonic()
        self.rows: list[tuple[str, float]] = []

    def __call__(self, stage: str) -> None:
        now = time.monotonic()
        self.rows.append((stage, now - self.last))
        self.last = now


def wait_for_job(page: Page, minutes: int = 15) -> None:
    expect(page.locator(".job-progress .state").first).to_have_text(
        "Completed", timeout=minutes * MINUTE
    )


def follow_step(page: Page, label: str, minutes: int = 5) -> None:
    """Wait until the overview's one filled button says `label`, then press it."""
    button = page.locator(".page-actions .button-primary")
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        page.goto(DEMO)
        if button.count() and label in button.inner_text():
            button.click()
            return
        time.sleep(1)
    raise TimeoutError(f"The overview never offered: {label}")


def walk(page: Page, laps: Laps) -> None:
    page.goto("/")
    page.get_by_label("Username").fill("demo")
    for field in page.locator("input[type=password]").all():
        field.fill("kelp-forest-42")
    page.get_by_role("button", name="Create administrator").click()
    page.get_by_role("button", name="Open the demo population").click()
    follow_step(page, "Start detection")
    laps("render and import")

    page.get_by_role("button", name="Start detection").click()
    wait_for_job(page)
    laps("detect and sort into tiers")

    follow_step(page, "Train a model")
    page.get_by_role("button", name="Start training").click()
    wait_for_job(page)
    page.reload()
    laps("train (laptop preset)")

    page.get_by_role("link", name="Open the timeline").click()
    page.get_by_role("button", name="Deploy snapshot").click()
    wait_for_job(page)
    laps("deploy")

    # One that was uploaded is not offered again.
    for number in (1, 2):
        page.goto(f"{DEMO}encounters/new/")
        page.get_by_label("Rendered encounter").select_option(index=1)
        page.get_by_role("button", name="Upload and identify").click()
        candidate = page.locator(".review-candidate").first
        expect(candidate).to_be_visible(timeout=5 * MINUTE)
        laps(f"identify kept-back encounter {number}")


def suggestions(database: Path) -> dict[int, list[str]]:
    """Return for each animal the codes in the order of suggestion; "" is a new one."""
    ranked = defaultdict(list)
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT s.sighting_id, COALESCE(i.code, '') FROM snapshots_suggestion s "
            "LEFT JOIN populations_individual i ON i.id = s.individual_id "
            "ORDER BY s.sighting_id, s.rank"
        )
        for sighting, code in rows:
            ranked[sighting].append(code)
    return ranked


def rendered_animals(home: Path) -> dict[int, list[str]]:
    """Return who is in the photos of each animal, where a photo shows one only."""
    truth_file = next(home.glob("populations/*/demo-encounters/truth.csv"))
    with truth_file.open(encoding="utf-8", newline="") as file:
        truth = {
            Path(row["filename"]).name: row["individual"]
            for row in csv.DictReader(file)
        }
    shown = defaultdict(list)
    with closing(sqlite3.connect(home / "finwave.sqlite3")) as connection:
        rows = connection.execute(
            "SELECT a.sighting_id, p.original_name FROM populations_annotation a "
            "JOIN populations_photo p ON p.id = a.photo_id "
            "WHERE a.sighting_id IS NOT NULL AND p.n_detections = 1"
        )
        for sighting, name in rows:
            animal = truth.get(Path(name).name, "")
            if animal and ";" not in animal:
                shown[sighting].append(animal)
    return shown


def known_codes(home: Path) -> set[str]:
    with closing(sqlite3.connect(home / "finwave.sqlite3")) as connection:
        return {
            code
            for (code,) in connection.execute("SELECT code FROM populations_individual")
        }


def validation_figures(home: Path) -> tuple[float, float, int]:
    with closing(sqlite3.connect(home / "finwave.sqlite3")) as connection:
        (metrics,) = connection.execute(
            "SELECT metrics FROM snapshots_snapshot"
        ).fetchone()
    found = {
        name: float(re.search(rf'"{name}": ([0-9.]+)', metrics).group(1))
        for name in ("top1", "mean_average_precision", "n_queries")
    }
    return found["top1"], found["mean_average_precision"], int(found["n_queries"])


def report(home: Path, laps: Laps) -> None:
    cores = len(os.sched_getaffinity(0))
    print(
        f"\n{platform.processor() or platform.machine()}, {cores} cores, Python {platform.python_version()}\n"
    )
    print("| stage | s |\n|---|---|")
    for stage, seconds in laps.rows:
        print(f"| {stage} | {seconds:.0f} |")
    print(f"| all | {laps.last - laps.start:.0f} |\n")

    top1, mean_ap, n_queries = validation_figures(home)
    print(
        f"Validation, encounters held out of training: top-1 {top1:.3f}, mAP {mean_ap:.3f}, n = {n_queries} crops."
    )
    ranked, known = suggestions(home / "finwave.sqlite3"), known_codes(home)
    hits_1, hits_5, new_right, purity = [], [], [], []
    for sighting, animals in rendered_animals(home).items():
        animal, n_of_it = Counter(animals).most_common(1)[0]
        purity.append(n_of_it / len(animals))
        codes = ranked.get(sighting, [])
        if animal in known:
            named = [code for code in codes if code]
            hits_1.append(named[:1] == [animal])
            hits_5.append(animal in named[:5])
        else:
            new_right.append(codes[:1] == [""])
    print(
        f"Kept-back encounters, known animals: top-1 {statistics.mean(hits_1):.3f}, top-5 {statistics.mean(hits_5):.3f}, n = {len(hits_1)} animals."
    )
    if new_right:
        print(
            f"Animals never seen before: {sum(new_right)} of {len(new_right)} had 'new individual' ranked first."
        )
    print(
        f"Crops gathered as one animal that are of one animal: {statistics.mean(purity):.3f}, n = {len(purity)} animals."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--home", type=Path, help="keep everything in this new folder")
    arguments = parser.parse_args()
    home = arguments.home or Path(tempfile.mkdtemp(prefix="finwave-demo-"))
    home.mkdir(parents=True, exist_ok=True)
    manage(home, "migrate", "--verbosity", "0")
    manage(home, "collectstatic", "--noinput", "--verbosity", "0")
    manage(home, "prepare")
    laps = Laps()
    with serving(home) as server, sync_playwright() as playwright:
        laps("start")
        browser = playwright.chromium.launch(
            executable_path=find_browser(), args=["--no-sandbox"]
        )
        context = browser.new_context(base_url=server.url)
        walk(context.new_page(), laps)
        browser.close()
    report(home, laps)


if __name__ == "__main__":
    main()
