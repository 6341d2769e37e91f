"""Rules that several forms share."""

from __future__ import annotations

import re

from django.core.exceptions import ValidationError

# A pattern is matched against short codes only, but a nested repetition can take
# for ever even there.
NESTED_REPETITION = re.compile(r"\([^()]*[+*][^()]*\)[+*{]")


def validate_quick_pattern(value: str) -> None:
    if NESTED_REPETITION.search(value):
        raise ValidationError(
            "A repetition inside a repeated group, such as “(a+)+”, can take for ever. "
            "Write the pattern without it."
        )
