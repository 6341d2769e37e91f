"""Find a Chromium for the browser tests, or install one; print where it is.

Order: FINWAVE_TEST_BROWSER, one on the PATH, Playwright's own, the system's package
manager (as root), Playwright's download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find_browser() -> Path | None:
    if named := os.environ.get("FINWAVE_TEST_BROWSER"):
        return Path(named)
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        bundled = Path(playwright.chromium.executable_path)
    return bundled if bundled.exists() else None


def install_browser() -> None:
    if shutil.which("apt-get") and os.geteuid() == 0:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update"], check=False, env=environment, **quiet)
        subprocess.run(
            ["apt-get", "install", "-y", "chromium"],
            check=False,
            env=environment,
            **quiet,
        )
        if find_browser():
            return
    subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"], check=False
    )


def main() -> int:
    if not find_browser():
        install_browser()
    browser = find_browser()
    if not browser:
        print(
            "No Chromium was found and none could be installed. Install one, or name it "
            "in FINWAVE_TEST_BROWSER.",
            file=sys.stderr,
        )
        return 1
    print(f"Browser for the tests: {browser}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
