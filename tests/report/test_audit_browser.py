"""The page in a real Chromium: it works, is reachable, fits, and asks the network nothing."""

import re
import shutil

import pytest
from axe_core_python.sync_playwright import Axe
from made_audit import made_audit
from playwright.sync_api import sync_playwright

from fairexit.report.audit_page import write_audit

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
WIDE = {"width": 1180, "height": 900}
PHONE = {"width": 360, "height": 740}
# A short task needs no second process, and some containers forbid a sandbox.
FLAGS = ["--no-sandbox"]
LONG = "a name of a class that goes on " * 4 + "Pneumonoultramicroscopicsilicovolcanoconiosis" * 2


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield found
        found.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    """The page of an audit with two attributes and one unwieldy class."""
    path = tmp_path_factory.mktemp("page") / "audit.html"
    attributes = {"sex": ("female", "male"), "age": tuple(f"{d}0 to {d}9" for d in range(1, 9))}
    write_audit(made_audit((LONG, "NV", "BCC", "<i>AK</i>"), attributes), path)
    return path.as_uri()


@pytest.fixture
def opened(browser, address):
    """Opens the page; at the end there must have been no error and no request but the page."""
    contexts, troubles, requests = [], [], []

    def open_page(**options):
        context = browser.new_context(**{"viewport": WIDE, **options})
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert troubles == []
    assert set(requests) == {address}


def overflowing(page):
    return page.evaluate(
        "document.documentElement.scrollWidth > document.documentElement.clientWidth"
    )


def test_the_slider_moves_accuracy_fairness_shares_and_cost_together(opened):
    page = opened()
    slider = page.get_by_label("Threshold: the confidence that an exit needs to answer").first
    theta = page.locator(".theta").first
    told = theta.locator("output")
    keys = ("f1", "eopp1", "exit0", "cost")
    now = {key: theta.locator(f'[data-series="{key}"] .now') for key in keys}
    change = theta.locator('[data-series="f1"] .change')
    cursor = theta.locator(".cursor").first
    before = {key: cell.text_content() for key, cell in now.items()}
    sentence, place = told.text_content(), cursor.get_attribute("x1")
    assert change.text_content() == ""
    slider.focus()
    for _ in range(10):
        page.keyboard.press("ArrowLeft")
    assert all(cell.text_content() != before[key] for key, cell in now.items())
    assert told.text_content() != sentence
    assert told.text_content().startswith(slider.get_attribute("aria-valuetext").capitalize())
    assert told.get_attribute("aria-live") == "polite"
    assert cursor.get_attribute("x1") != place
    assert change.text_content().startswith("\u2212")
    other = page.locator(".theta").nth(1).locator('[data-series="f1"] .now')
    assert other.text_content() == before["f1"]
    theta.get_by_role("button", name="Back to the threshold in use").click()
    assert told.text_content() == sentence
    assert change.text_content() == ""


def test_the_page_says_the_same_before_its_script_runs(browser, address):
    texts = []
    for script in (True, False):
        context = browser.new_context(java_script_enabled=script)
        page = context.new_page()
        page.goto(address)
        texts.append(" ".join(page.locator("main").inner_text().split()))
        context.close()
    assert texts[0] == texts[1]


def test_values_show_under_the_pointer(opened):
    page = opened()
    tip = page.locator(".tip")
    assert tip.is_hidden()
    mark = page.locator("svg.forest[data-tip]").nth(1)
    mark.scroll_into_view_if_needed()
    mark.hover()
    assert tip.is_visible()
    assert tip.text_content() == mark.get_attribute("data-tip")
    page.keyboard.press("Escape")
    assert tip.is_hidden()
    plot = page.locator('[data-plot="gaps"] svg.plot').first
    plot.scroll_into_view_if_needed()
    plot.hover()
    assert tip.inner_text().splitlines()[0].startswith("Threshold 0.59")
    assert "Eopp1 0." in tip.inner_text()
    plot.click()
    assert page.locator(".theta output").first.text_content().startswith("Threshold 0.59")
    page.mouse.move(2, 2)
    assert tip.is_hidden()


def test_a_name_that_looks_like_markup_shows_as_text(opened):
    page = opened()
    assert page.get_by_role("rowheader", name="<i>AK</i>").count() > 0
    assert page.locator("main i").count() == 0


@pytest.mark.parametrize(
    ("scheme", "size"), [("light", WIDE), ("dark", PHONE)], ids=["wide light", "phone dark"]
)
def test_axe_finds_nothing_serious(browser, tmp_path, scheme, size):
    write_audit(made_audit(("MEL", "NV", "BCC"), exits=("1", "f")), tmp_path / "small.html")
    context = browser.new_context(color_scheme=scheme, viewport=size)
    page = context.new_page()
    page.goto((tmp_path / "small.html").as_uri())
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    found = Axe().run(page)["violations"]
    bad = [
        (v["id"], v["nodes"][0]["html"]) for v in found if v["impact"] in ("serious", "critical")
    ]
    context.close()
    assert bad == []


def test_the_colours_follow_the_scheme(opened):
    paper = "getComputedStyle(document.body).backgroundColor"
    light, dark = (opened(color_scheme=s).evaluate(paper) for s in ("light", "dark"))
    assert light == "rgb(255, 255, 255)"
    assert max(int(c) for c in dark[4:-1].split(",")) < 50


@pytest.mark.parametrize("width", [360, 390, 768, 1180])
def test_nothing_but_tables_scrolls_sideways(opened, width):
    page = opened(viewport={"width": width, "height": 740})
    assert not overflowing(page)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert not overflowing(page)
    if width < 640:
        assert cut(page) == []


def cut(page):
    """Tables, and cells of tables, whose content is wider than they are."""
    return page.evaluate(
        "[...document.querySelectorAll('.scroll, tbody td, tbody th')]"
        ".filter((e) => e.scrollWidth > e.clientWidth + 1 && e.offsetParent)"
        ".map((e) => e.textContent)"
    )


def test_on_a_phone_verdict_and_p_stand_beside_the_label(opened):
    page = opened(viewport={"width": 390, "height": 844})
    row = page.locator(".verdicts tbody tr").first
    label, verdict = row.locator("th"), row.locator(".verdict")
    left, right = label.bounding_box(), verdict.bounding_box()
    assert abs(left["y"] - right["y"]) < 3
    assert left["x"] + left["width"] <= right["x"]
    assert right["x"] + right["width"] <= 390
    assert re.search("chance.*p", verdict.inner_text(), re.DOTALL)
    content = "getComputedStyle(e, '::before').content"
    number = row.get_by_text("0.050")
    assert number.evaluate(f"(e) => {content}") == '"By chance alone"'


def test_the_first_printed_page_is_a_summary(browser, tmp_path):
    write_audit(made_audit(), tmp_path / "audit.html")
    context = browser.new_context(viewport={"width": 690, "height": 1000})
    page = context.new_page()
    page.goto((tmp_path / "audit.html").as_uri())
    page.emulate_media(media="print")
    height = page.evaluate(
        "document.querySelector('#summary').getBoundingClientRect().bottom - "
        "document.querySelector('.masthead').getBoundingClientRect().top"
    )
    # A4 without its margins, at 96 pixels to the inch.
    assert height < (297 - 2 * 16) / 25.4 * 96
    after = "getComputedStyle(document.querySelector('#findings')).breakBefore"
    assert page.evaluate(after) == "page"
    parts = page.locator("#summary").inner_text()
    for words in ("found in", "What to do", "Gaps and verdicts", "Samples by sex"):
        assert words in parts
    context.close()


def test_a_hundred_groups_and_classes_make_no_endless_page(browser, tmp_path):
    groups = {"doctor": tuple(f"doctor {i}" for i in range(100))}
    classes = ("MEL", *(f"condition {i}" for i in range(99)))
    write_audit(made_audit(classes, groups), tmp_path / "many.html")
    context = browser.new_context(viewport=WIDE)
    page = context.new_page()
    page.goto((tmp_path / "many.html").as_uri())
    assert page.evaluate("document.body.scrollHeight") < 12_000
    assert (tmp_path / "many.html").stat().st_size < 700_000
    context.close()


def test_print_is_light_opens_everything_and_clips_no_table(opened):
    page = opened(viewport={"width": 690, "height": 1000}, color_scheme="dark")
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator("details:not([open])").count() == 0
    assert page.locator(".theta output").first.is_visible()
    assert (
        page.evaluate(
            "[...document.querySelectorAll('table:not(.many)')]"
            ".filter((t) => t.getBoundingClientRect().right > innerWidth + 1)"
            ".map((t) => t.caption.textContent)"
        )
        == []
    )
    assert page.pdf(format="A4")[:5] == b"%PDF-"


def test_the_keyboard_reaches_everything_in_order(opened):
    page = opened()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    skip = page.locator(".skip")
    assert skip.bounding_box()["x"] >= 0
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "summary"
    page.locator(".slider").first.focus()
    page.keyboard.press("ArrowRight")
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Back to the threshold")
    assert page.evaluate(outline) == "solid"
