"""Fixtures for every app's tests."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

# Tests have a home of their own, one a process. It is named before the settings are
# read; that is why the settings are named here and not in pyproject.toml.
_HOME = tempfile.TemporaryDirectory(prefix="finwave-tests-")
os.environ["FINWAVE_HOME"] = _HOME.name
os.environ["FINWAVE_STATIC_ROOT"] = str(Path(_HOME.name, "static"))
os.environ["FINWAVE_DEBUG"] = "False"
os.environ["DJANGO_SETTINGS_MODULE"] = "finwave.settings"
Path(_HOME.name, "static").mkdir()

import django  # noqa: E402 -- the environment comes first
import pytest  # noqa: E402

# Here, because conftests further down import models.
django.setup()

DATA = Path(os.environ.get("FINWAVE_TEST_DATA", "../shared/data")).resolve()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real photographs; tests that need it skip where it is missing."""
    if not DATA.is_dir():
        pytest.skip(f"no real photographs at {DATA} (set FINWAVE_TEST_DATA)")
    return DATA


@pytest.fixture(autouse=True)
def home(settings, tmp_path_factory) -> Path:
    """A fresh home folder for each test."""
    folder = tmp_path_factory.mktemp("home")
    settings.FINWAVE_HOME = folder
    settings.MEDIA_ROOT = folder
    settings.FILE_UPLOAD_TEMP_DIR = None
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {
            "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        },
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
    return folder
