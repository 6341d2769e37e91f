from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from finwave.env import env_bool, env_int, env_list, env_secret

ROOT = Path(__file__).resolve().parents[2]


def variables_read() -> set[str]:
    """Return every FINWAVE_ variable that the program itself asks for."""
    pattern = re.compile(
        r'(?:env_\w+\(\s*|environ(?:\.get\(|\[)|getenv\()\s*"(FINWAVE_\w+)"'
    )
    sources = [
        path
        for package in ("finwave", "populations", "snapshots", "training")
        for path in (ROOT / package).rglob("*.py")
    ]
    return {name for path in sources for name in pattern.findall(path.read_text())}


# Handed from one of our own processes to another; nobody sets them by hand.
INTERNAL = {"FINWAVE_PARENT_PID", "FINWAVE_JOB_FOLDER", "FINWAVE_SERVED"}


def test_every_variable_is_in_the_example():
    example = (ROOT / ".env.example").read_text()
    listed = set(re.findall(r"^(FINWAVE_\w+)=", example, re.MULTILINE))

    assert variables_read() - INTERNAL == listed


@pytest.mark.parametrize(("value", "expected"), [("True", True), ("False", False)])
def test_bool_is_read(monkeypatch, value, expected):
    monkeypatch.setenv("FINWAVE_X", value)

    assert env_bool("FINWAVE_X", not expected) is expected


@pytest.mark.parametrize("value", ["", "yes", "1", "true"])
def test_sloppy_bool_is_refused(monkeypatch, value):
    monkeypatch.setenv("FINWAVE_X", value)

    with pytest.raises(ImproperlyConfigured, match="FINWAVE_X must be True or False"):
        env_bool("FINWAVE_X", False)


def test_int_that_is_none_is_refused(monkeypatch):
    monkeypatch.setenv("FINWAVE_X", "many")

    with pytest.raises(ImproperlyConfigured, match="whole number"):
        env_int("FINWAVE_X", 1)


def test_list_is_split_and_stripped(monkeypatch):
    monkeypatch.setenv("FINWAVE_X", "a, b,,c ")

    assert env_list("FINWAVE_X", []) == ["a", "b", "c"]


def test_secret_is_made_once_and_private(tmp_path):
    file = tmp_path / "secret"

    first = env_secret("FINWAVE_X", file)

    assert env_secret("FINWAVE_X", file) == first
    assert len(first) >= 50
    assert file.stat().st_mode & 0o077 == 0


def test_secret_comes_from_the_named_file(tmp_path, monkeypatch):
    named = tmp_path / "named"
    named.write_text("from a vault\n")
    monkeypatch.setenv("FINWAVE_X_FILE", str(named))

    assert env_secret("FINWAVE_X", tmp_path / "unused") == "from a vault"
