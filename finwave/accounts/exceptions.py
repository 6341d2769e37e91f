from __future__ import annotations


class SetupClosed(Exception):
    """The installation has an account already."""


class WrongSetupCode(Exception):
    """The one-time code is wrong, or too many were tried."""
