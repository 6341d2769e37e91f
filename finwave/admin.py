"""What the apps' admin sites share: rows that are to be looked at."""

from __future__ import annotations

from typing import Any

from django.contrib import admin


class Kept:
    """Made and removed by the app only, which takes files and other rows along."""

    def has_add_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False

    def has_delete_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False


class ReadOnly(Kept):
    """Written by services and jobs, whose invariants span tables and files."""

    def has_change_permission(self, *args: Any, **kwargs: Any) -> bool:
        return False


class ReadOnlyAdmin(ReadOnly, admin.ModelAdmin[Any]):
    """Rows that are seen, searched and filtered in the admin site, never changed."""
