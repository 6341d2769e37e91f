"""Creating the first administrator, who may do it, and the one-time code.

Everything after the first account is Django's own (sign-in, passwords, admin site).
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import transaction

from finwave.accounts.exceptions import SetupClosed, WrongSetupCode
from finwave.home import home

logger = logging.getLogger(__name__)

# Guesses of the code allowed per window; the code has 60 bits, so this is about noise
# and load rather than about finding it.
MAX_GUESSES = 10
GUESS_WINDOW_S = 15 * 60
GUESSES_KEY = "accounts-setup-guesses"

# A proxy in front makes every visitor look local, so a request that passed one
# never counts as local.
FORWARDING_HEADERS = (
    "HTTP_FORWARDED",
    "HTTP_VIA",
    "HTTP_X_FORWARDED_FOR",
    "HTTP_X_FORWARDED_HOST",
    "HTTP_X_FORWARDED_PROTO",
    "HTTP_X_REAL_IP",
)


def is_set_up() -> bool:
    """Tell whether anybody has an account. Costs one query."""
    return User.objects.exists()


def setup_code_file() -> Path:
    return home() / "setup_code"


def setup_code() -> str | None:
    """Return the one-time code of a fresh installation, written on first use.

    Returns:
        The code as four groups of four, or None once there is an account.
    """
    if is_set_up():
        setup_code_file().unlink(missing_ok=True)
        return None
    file = setup_code_file()
    if not file.exists():
        fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}.tmp")
        fresh.touch(mode=0o600)
        fresh.write_text(_new_code(), encoding="utf-8")
        # A hard link fails when another process was first: all print the same code.
        try:
            file.hardlink_to(fresh)
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
    return file.read_text(encoding="utf-8").strip()


def _new_code() -> str:
    # Crockford's base 32 without letters that read like digits: 16 x 5 bits.
    alphabet = "0123456789abcdefghjkmnpqrstvwxyz"
    letters = "".join(secrets.choice(alphabet) for _ in range(16))
    return "-".join(letters[start : start + 4] for start in range(0, 16, 4))


def comes_from_this_machine(meta: Mapping[str, object]) -> bool:
    """Tell whether a request (its META) was made on this machine, through no proxy."""
    if any(meta.get(header) for header in FORWARDING_HEADERS):
        return False
    try:
        return ip_address(str(meta.get("REMOTE_ADDR", ""))).is_loopback
    except ValueError:
        return False


def create_first_administrator(
    *, username: str, email: str, password: str, code: str | None
) -> User:
    """Create the one administrator of a fresh installation.

    Args:
        code: What the visitor typed, or None for one on this machine, who needs none.

    Raises:
        SetupClosed: there is an account already.
        WrongSetupCode: the code is wrong, or too many were tried.
    """
    if code is not None:
        _check_code(code)
    # Written transactions of SQLite begin IMMEDIATE and of PostgreSQL lock the table,
    # so that of two visitors at the same instant the second finds the first's account.
    with transaction.atomic():
        _lock_users()
        if is_set_up():
            raise SetupClosed("An administrator exists already. Sign in instead.")
        user = User.objects.create_superuser(
            username=username, email=email, password=password
        )
    setup_code_file().unlink(missing_ok=True)
    logger.info("first administrator created user=%s", user.pk)
    return user


def _lock_users() -> None:
    connection = transaction.get_connection()
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute(
                "LOCK TABLE auth_user IN SHARE ROW EXCLUSIVE MODE"
            )  # pragma: no cover -- the tests run on SQLite


def _check_code(typed: str) -> None:
    cache.add(GUESSES_KEY, 0, GUESS_WINDOW_S)
    if cache.incr(GUESSES_KEY) > MAX_GUESSES:
        raise WrongSetupCode("Too many codes were tried. Try again in 15 minutes.")
    expected = setup_code() or ""
    if not hmac.compare_digest(typed.strip().lower().encode(), expected.encode()):
        raise WrongSetupCode("This is not the code that finwave printed at its start.")
