"""What can go wrong, each a sentence for the user."""

from __future__ import annotations


class SnapshotError(Exception):
    """Something that cannot be done with a snapshot or a deployment, and why."""


class StoreError(Exception):
    """A stored file is missing or not what its name says."""


class IdentificationError(Exception):
    """An answer about an animal that cannot be right, and why."""


class UnknownCode(IdentificationError):
    """Nobody has this code; `near` holds the codes that look like it."""

    def __init__(self, code: str, near: list[str]) -> None:
        self.code = code
        self.near = near
        hint = f" Did you mean {', '.join(near)}?" if near else ""
        super().__init__(f"No individual has the code “{code}”.{hint}")
