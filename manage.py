#!/usr/bin/env python
"""Run Django's management commands for finwave."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "finwave.settings")
    from django.core.management import (  # noqa: PLC0415 -- needs the line above
        execute_from_command_line,
    )

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
