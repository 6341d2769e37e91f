from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from django.conf import settings
from django.template import Context, Template

from finwave.templatetags import finwave as tags

S = "\N{NARROW NO-BREAK SPACE}"
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [
        (None, 0, "–"),
        (0, 0, "0"),
        (999, 0, "999"),
        (1204, 0, f"1{S}204"),
        (1234567.891, 2, f"1{S}234{S}567.89"),
        (-4200, 0, f"-4{S}200"),
    ],
)
def test_thin(value, digits, text):
    assert tags.thin(value, digits) == text


@pytest.mark.parametrize(
    ("share", "digits", "text"),
    [(None, 0, "–"), (0, 0, f"0{S}%"), (0.873, 1, f"87.3{S}%"), (1, 0, f"100{S}%")],
)
def test_percent(share, digits, text):
    assert tags.percent(share, digits) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.25, f"0.2{S}s"),
        (42, f"42{S}s"),
        (59.8, f"1{S}min"),
        (200, f"3{S}min 20{S}s"),
        (3600, f"1{S}h"),
        (7500, f"2{S}h 5{S}min"),
        (90000, f"1{S}d 1{S}h"),
    ],
)
def test_duration(seconds, text):
    assert tags.duration(seconds) == text


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (None, "–"),
        (0, f"0{S}bytes"),
        (999, f"999{S}bytes"),
        (1000, f"1.0{S}kB"),
        (999_999, f"1.0{S}MB"),
        (12_800_000, f"13{S}MB"),
        (5_400_000_000_000, f"5.4{S}TB"),
    ],
)
def test_bytes(size, text):
    assert tags.bytes_(size) == text


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(hours=5, minutes=10), "5\N{NO-BREAK SPACE}hours ago"),
        (-timedelta(days=3, hours=1), "in 3\N{NO-BREAK SPACE}days"),
    ],
)
@time_machine.travel(NOW, tick=False)
def test_ago(age, words):
    html = tags.ago(NOW - age)

    assert f">{words}</time>" in html
    assert f'datetime="{(NOW - age).isoformat(timespec="seconds")}"' in html


def test_ago_of_nothing():
    assert tags.ago(None) == "–"


def test_icon_without_label_is_hidden_from_readers():
    assert 'aria-hidden="true"' in tags.icon("fish")
    assert 'aria-label="Has a &lt;fin&gt;"' in tags.icon("fish", "Has a <fin>")


def test_bars_are_scaled_to_the_longest():
    html = Template("{% bars rows 'crops' %}").render(
        Context({"rows": [("T001", 40), ("T<2>", 10), ("T003", 0)]})
    )

    assert re.findall(r'bars-bar" width="([\d.]+)"', html) == [
        "100.00",
        "25.00",
        "0.00",
    ]
    assert "T&lt;2&gt;" in html


def test_bars_without_rows():
    assert "<tr>" not in Template("{% bars rows %}").render(Context({"rows": []}))


def test_templates_use_only_icons_of_the_sprite():
    root = Path(settings.BASE_DIR)
    sprite = (root / "static/img/icons.svg").read_text(encoding="utf-8")
    known = set(re.findall(r'<symbol id="([^"]+)"', sprite))

    missing = {
        (template.name, name)
        for template in (root / "templates").rglob("*.html")
        for name in re.findall(
            r"(?:{%\s*icon |icon=)\"([^\"]+)\"", template.read_text(encoding="utf-8")
        )
        if name not in known
    }

    assert missing == set()


def test_templates_hold_no_inline_script_or_style():
    root = Path(settings.BASE_DIR)
    inline = re.compile(
        r"\sstyle=|<style|\son[a-z]+=|hx-on|<script(?![^>]*(src=|application/json))"
    )

    found = {
        (template.name, match[0])
        for template in (root / "templates").rglob("*.html")
        for match in inline.finditer(template.read_text(encoding="utf-8"))
    }

    assert found == set()


def test_templates_pass_no_variable_called_context():
    # {% include … with context=… %} collides with Django's own argument: a TypeError.
    root = Path(settings.BASE_DIR)

    found = [
        template.name
        for template in (root / "templates").rglob("*.html")
        if re.search(
            r"{%\s*(include|with)[^%]*\scontext=", template.read_text(encoding="utf-8")
        )
    ]

    assert found == []
