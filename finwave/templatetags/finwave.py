"""Small presentational filters and tags, known to every template."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import TypedDict

from django import template
from django.contrib.messages import constants
from django.contrib.messages.storage.base import Message
from django.templatetags.static import static
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.timesince import timesince

register = template.Library()

THIN_SPACE = "\N{NARROW NO-BREAK SPACE}"
DASH = "–"


class BarRow(TypedDict):
    label: str
    value: float
    percent: float


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """Draw an icon of the sprite; with a label where no word stands beside it."""
    shape = format_html('<use href="{}#{}"/>', static("img/icons.svg"), name)
    if label:
        return format_html(
            '<svg class="icon" role="img" aria-label="{}">{}</svg>', label, shape
        )
    return format_html('<svg class="icon" aria-hidden="true">{}</svg>', shape)


@register.filter
def thin(value: float | None, digits: int = 0) -> str:
    """Write a number with narrow spaces between the thousands."""
    if value is None:
        return DASH
    return f"{value:,.{digits}f}".replace(",", THIN_SPACE)


@register.filter
def percent(share: float | None, digits: int = 0) -> str:
    """Write a share in [0, 1] as percent."""
    if share is None:
        return DASH
    return f"{100 * share:.{digits}f}{THIN_SPACE}%"


@register.filter
def duration(seconds: float | None) -> str:
    """Write a time span with its two largest units: 4.2 s, 3 min 20 s, 2 h 5 min."""
    if seconds is None:
        return DASH
    if seconds < 10:
        return f"{seconds:.1f}{THIN_SPACE}s"
    whole = round(seconds)
    for size, unit, smaller_size, smaller in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= size:
            rest = whole % size // smaller_size
            tail = f" {rest}{THIN_SPACE}{smaller}" if rest else ""
            return f"{whole // size}{THIN_SPACE}{unit}{tail}"
    return f"{whole}{THIN_SPACE}s"


@register.filter(name="bytes")
def bytes_(size: float | None) -> str:
    """Write a size in decimal units, as disks are sold."""
    if size is None:
        return DASH
    amount = float(size)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 999.5:
            digits = 1 if amount < 10 and unit != "bytes" else 0
            return f"{amount:.{digits}f}{THIN_SPACE}{unit}"
        amount /= 1000
    return f"{amount:.1f}{THIN_SPACE}TB"


@register.filter
def ago(moment: datetime | None) -> str:
    """Write how long ago something was, with the exact time on hover."""
    if moment is None:
        return DASH
    seconds = (timezone.now() - moment).total_seconds()
    if seconds < -60:
        words = f"in {timesince(timezone.now(), now=moment, depth=1)}"
    elif seconds < 60:
        words = "just now"
    else:
        words = f"{timesince(moment, depth=1)} ago"
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        local.isoformat(timespec="seconds"),
        date_format(local, "j F Y, H:i:s"),
        words,
    )


@register.inclusion_tag("components/bars.html")
def bars(
    rows: Iterable[tuple[str, float]], unit: str = "", kind: str = ""
) -> dict[str, object]:
    """Draw horizontal bars without a script.

    Args:
        rows: Label and value, in the order of drawing.
        unit: What the values count, for the caption.
        kind: "tiers" colours the first three bars as the tiers.
    """
    pairs = list(rows)
    longest = max((value for _, value in pairs), default=0) or 1
    drawn: list[BarRow] = [
        {"label": label, "value": value, "percent": round(100 * value / longest, 2)}
        for label, value in pairs
    ]
    return {"rows": drawn, "unit": unit, "kind": kind}


@register.filter
def notice_kind(message: Message) -> str:
    """Name the kind of notice that a message of the messages framework is."""
    if message.level >= constants.ERROR:
        return "error"
    if message.level >= constants.WARNING:
        return "warning"
    return "success" if message.level >= constants.SUCCESS else "info"


@register.filter
def notice_icon(kind: str) -> str:
    return {
        "error": "circle-alert",
        "warning": "triangle-alert",
        "success": "circle-check",
    }.get(kind, "info")
