"""Strict readers of environment variables.

Every variable finwave reads goes through here and is listed in `.env.example`.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured


def env_str(name: str, default: str) -> str:
    return os.environ.get(name, default)


def env_bool(name: str, default: bool) -> bool:
    value = os.environ.get(name)
    if value is None:
        return default
    if value not in ("True", "False"):
        raise ImproperlyConfigured(f"{name} must be True or False, not {value!r}.")
    return value == "True"


def env_int(name: str, default: int) -> int:
    value = os.environ.get(name)
    if value is None:
        return default
    try:
        return int(value)
    except ValueError as err:
        raise ImproperlyConfigured(
            f"{name} must be a whole number, not {value!r}."
        ) from err


def env_path(name: str, default: Path) -> Path:
    return Path(os.environ.get(name) or default).expanduser().absolute()


def env_list(name: str, default: list[str]) -> list[str]:
    value = os.environ.get(name)
    if value is None:
        return default
    return [part.strip() for part in value.split(",") if part.strip()]


def env_secret(name: str, file: Path) -> str:
    """Return the secret from `name`, from the file `name_FILE` points at, or from
    `file`, which is written with a fresh secret the first time.
    """
    if value := os.environ.get(name):
        return value
    if pointed := os.environ.get(f"{name}_FILE"):
        return Path(pointed).read_text(encoding="utf-8").strip()
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        fresh = file.with_name(f"{file.name}.{os.getpid()}.tmp")
        fresh.touch(mode=0o600)
        fresh.write_text(secrets.token_urlsafe(48), encoding="utf-8")
        # A hard link fails when somebody else was first, so that all processes
        # of a first start agree on one secret.
        try:
            file.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text(encoding="utf-8").strip()
