"""Charts, boxes, menus, keys and theme in a real browser, under the site's own policy."""

from __future__ import annotations

import json
from urllib.request import Request, urlopen

import pytest
from playwright.sync_api import Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

SERIES = [
    {"key": "train_loss", "label": "Training", "role": "training"},
    {"key": "val_loss", "label": "Validation", "role": "validation"},
]
POINTS = [{"x": 1, "train_loss": 8, "val_loss": 9}, {"x": 2, "train_loss": 6}]
BOXES = [
    {"id": 1, "x1": 10, "y1": 40, "x2": 60, "y2": 80, "label": "fin"},
    {
        "id": 2,
        "x1": 20,
        "y1": 50,
        "x2": 40,
        "y2": 70,
        "label": "fin",
        "confidence": 0.31,
        "area": 0.2,
        "centrality": 0.75,
        "prominence": 0.4,
    },
]
STYLES = (
    "vendor/uPlot-1.6.32.min.css",
    "css/variables.css",
    "css/base.css",
    "css/components/menu.css",
    "css/components/chart.css",
    "css/components/boxes.css",
    "css/components/dialog.css",
)
MODULES = ("elements.js", "menu.js", "key-help.js", "dialog.js")


def open_elements(page: Page, server, body: str) -> None:
    """Open a page that holds `body` under the policy that the server itself sends."""
    with urlopen(Request(f"{server.url}/accounts/setup/")) as answer:
        policy = answer.headers["Content-Security-Policy"]
    links = "".join(f'<link rel="stylesheet" href="/static/{name}">' for name in STYLES)
    scripts = "".join(
        f'<script type="module" src="/static/js/{name}"></script>' for name in MODULES
    )
    html = (
        '<!doctype html><html lang="en"><head><title>Elements</title>'
        f'<link rel="icon" href="/static/img/finwave.svg">'
        f'<script src="/static/js/theme.js"></script>{links}{scripts}</head>'
        f"<body>{body}</body></html>"
    )
    page.route(
        "**/elements/",
        lambda route: route.fulfill(
            body=html,
            content_type="text/html",
            headers={"Content-Security-Policy": policy},
        ),
    )
    page.goto("/elements/")


def chart_html() -> str:
    data = json.dumps({"series": SERIES, "points": POINTS})
    return (
        '<fw-line-chart data-title="Loss" data-name="loss">'
        f'<script type="application/json">{data}</script></fw-line-chart>'
    )


def test_chart_takes_each_point_once(page, server):
    open_elements(page, server, chart_html())
    expect(page.locator("fw-line-chart canvas")).to_be_visible()

    page.evaluate(
        """() => {
          const chart = document.querySelector("fw-line-chart");
          chart.upsert("val_loss", 2, 7.5);
          chart.upsert("val_loss", 2, 7.5);
          chart.upsert("train_loss", 3, 5);
          chart.markBest(2);
        }"""
    )
    page.get_by_text("Numbers").click()

    cells = page.locator("tbody tr").all_inner_texts()
    assert [row.split() for row in cells] == [
        ["1", "8", "9"],
        ["2", "6", "7.5"],
        ["3", "5", "–"],
    ]


def test_chart_is_told_apart_without_colour(page, server):
    open_elements(page, server, chart_html())
    keys = page.locator(".chart-key")
    expect(keys).to_have_count(2)

    dashes = keys.locator("path").evaluate_all(
        "paths => paths.map(one => one.getAttribute('stroke-dasharray'))"
    )

    assert dashes == ["", "7 4"]
    expect(keys.nth(0).locator("circle")).to_have_count(1)
    expect(keys.nth(1).locator("rect")).to_have_count(1)


def test_chart_hands_its_numbers_out_as_csv(page, server):
    open_elements(page, server, chart_html())
    page.get_by_text("Numbers").click()

    with page.expect_download() as download:
        page.get_by_role("link", name="Download as CSV").click()

    assert download.value.suggested_filename == "loss.csv"
    text = download.value.path().read_text()
    assert text == "Epoch,Training,Validation\n1,8,9\n2,6,\n"


def test_boxes_are_drawn_in_the_photo_s_pixels_and_chosen_by_key(page, server):
    open_elements(
        page,
        server,
        '<fw-boxes data-width="100" data-height="100" data-selectable>'
        '<img src="/static/img/finwave.svg" alt="A fin" width="400" height="400">'
        f'<script type="application/json">{json.dumps(BOXES)}</script></fw-boxes>',
    )
    page.evaluate(
        "document.addEventListener('finwave:box', e => (window.chosen = e.detail.id))"
    )
    small = page.get_by_role("button", name="fin 0.31")
    frame = page.locator("fw-boxes").bounding_box()
    box = small.bounding_box()

    assert box["x"] - frame["x"] == pytest.approx(80, abs=1)
    assert box["width"] == pytest.approx(80, abs=1)
    # The small box lies above the large one, so it can be reached.
    assert small.evaluate("one => one === one.parentElement.lastElementChild")

    small.focus()
    expect(small.get_by_text("prominence 0.40")).to_be_visible()
    page.keyboard.press("Enter")

    assert page.evaluate("window.chosen") == 2
    expect(small).to_have_attribute("aria-pressed", "true")


def test_menu_is_left_by_escape_and_by_a_click_elsewhere(page, server):
    open_elements(
        page,
        server,
        '<h1>Title</h1><details class="menu"><summary>More</summary>'
        '<div class="menu-panel"><a href="#a">One</a><a href="#b">Two</a></div></details>',
    )
    page.get_by_text("More").click()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("link", name="Two")).to_be_focused()

    page.keyboard.press("Escape")
    expect(page.get_by_role("link", name="Two")).to_be_hidden()

    page.get_by_text("More").click()
    page.get_by_role("heading").click()
    expect(page.get_by_role("link", name="Two")).to_be_hidden()


def test_keys_of_the_page_are_listed_and_work_outside_fields(page, server):
    open_elements(
        page,
        server,
        '<button data-key="n" data-key-label="New individual">New</button>'
        '<input aria-label="Code"><output></output>',
    )
    page.evaluate(
        """() => document.querySelector("button").addEventListener("click", () => {
          document.querySelector("output").textContent += "new ";
        })"""
    )

    page.keyboard.press("n")
    page.get_by_label("Code").press("n")
    expect(page.locator("output")).to_have_text("new ")

    page.get_by_label("Code").blur()
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keys of this page")
    expect(dialog.get_by_text("New individual")).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)


def test_theme_is_kept_and_can_follow_the_system_again(page, server):
    open_elements(
        page,
        server,
        "".join(
            f'<button data-theme-choice="{name}">{name}</button>'
            for name in ("system", "light", "dark")
        ),
    )
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)

    page.get_by_role("button", name="dark").click()
    page.reload()
    dark = page.evaluate(ground)
    expect(page.get_by_role("button", name="dark")).to_have_attribute(
        "aria-pressed", "true"
    )

    page.get_by_role("button", name="system").click()

    assert dark != light
    assert page.evaluate(ground) == light


@pytest.mark.parametrize("width", [360, 390, 1440])
def test_sign_in_pages_fit_the_screen(page, width):
    page.set_viewport_size({"width": width, "height": 800})
    page.goto("/accounts/sign-in/")

    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
