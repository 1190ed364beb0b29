"""The page in a real Chromium: images are chosen or dropped, answered, and nothing else asked."""

import base64
import shutil
import threading

import pytest
import uvicorn
from axe_core_python.sync_playwright import Axe
from playwright.sync_api import TimeoutError, expect, sync_playwright
from served_images import BAD, content

from fairexit.serving import server
from fairexit.serving.app import create_app
from fairexit.serving.limits import Limits

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium here")
TOKEN = "correct-horse"
NAME = '<img src=x onerror=alert(1)>, "a".png'


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def addresses(served):
    """Of a server without a token and of one with a token."""
    running, found = [], []
    for token in (None, TOKEN):
        listening = server.listen("127.0.0.1", 0, token)
        app = create_app(served, Limits(max_bytes=200_000), token)
        config = uvicorn.Config(app, lifespan="on", log_level="error")
        site = uvicorn.Server(config)
        thread = threading.Thread(target=site.run, args=([listening],))
        thread.start()
        running.append((site, thread, listening))
        found.append(server.address(listening))
    yield found
    for site, thread, listening in running:
        site.should_exit = True
        thread.join(20)
        listening.close()


@pytest.fixture
def opened(browser):
    """Opens a page; there must be no error, and no request but to its own server."""
    contexts, troubles, requests = [], [], []

    def open_page(address, **options):
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.on("console", lambda message: troubles.append(message.text))
        page.on("request", lambda request: requests.append((request.url, address)))
        page.goto(address)
        return page

    yield open_page
    for context in contexts:
        context.close()
    # Chromium notes every refused request, which these tests provoke.
    assert [text for text in troubles if "Failed to load resource" not in text] == []
    assert all(url.startswith((address, "blob:")) for url, address in requests)


def file_of(name, data):
    return {"name": name, "mimeType": "image/png", "buffer": data}


def test_an_image_is_answered_exit_by_exit(opened, addresses, served, client):
    page, data = opened(addresses[0]), content(90, 60)
    expect(page.locator("#model")).to_contain_text("3 exits")
    page.locator("#files").set_input_files([file_of(NAME, data)])
    card = page.locator(".result")
    expect(page.locator("#state")).to_have_text("The image is done.")
    (answer,) = client.post("/predict", content=data).json()["answers"]
    assert card.locator("h3").text_content() == NAME
    assert card.locator(".prediction").text_content() == answer["prediction"]
    assert card.locator(".why").text_content().startswith(answer["why"])
    assert ", ".join(answer["set"]) in card.locator(".sets").text_content()
    tag = "refer to a person" if answer["refer"] else "no referral"
    assert card.locator(".tag").text_content() == tag
    exits = card.locator(".exit")
    assert exits.count() == len(answer["exits"])
    assert card.locator(".exit.answers h4").text_content().endswith(" answers")
    for number, exit in enumerate(answer["exits"]):
        box = exits.nth(number)
        assert f"Confidence {exit['confidence']:.4f}" in box.locator("p").text_content()
        best = sorted(exit["probabilities"].items(), key=lambda item: -item[1])[:3]
        assert box.locator("th").all_text_contents() == [name for name, _ in best]
        shown = box.locator("td:last-child").all_text_contents()
        assert shown == [f"{100 * share:.1f}\u00a0%" for _, share in best]
        width = box.locator(".bar").first.evaluate("bar => bar.style.width")
        assert float(width.removesuffix("%")) == pytest.approx(100 * best[0][1], abs=0.01)
    thumbnail = card.locator("img")
    assert thumbnail.get_attribute("src").startswith("blob:")
    assert thumbnail.evaluate("image => image.naturalWidth") == 90
    assert page.locator("img").count() == 1, "a name became an element"


def test_bad_files_have_one_line_each_and_the_others_their_answers(opened, addresses):
    page = opened(addresses[0])
    expect(page.locator("#limits")).to_contain_text("0.2 MB")
    files = [file_of(f"{kind}.jpg", data) for kind, (data, _) in BAD.items()]
    large = file_of("large.png", content(400, 400))
    page.locator("#files").set_input_files([*files, large, file_of("good.png", content())])
    expect(page.locator("#state")).to_have_text(f"All {len(files) + 2} images are done.")
    problems = page.locator(".problem.status")
    assert problems.count() == len(files) + 1
    for text, (_, problem) in zip(problems.all_text_contents(), BAD.values(), strict=False):
        assert problem in text
    assert "but the server takes 200000" in problems.last.text_content()
    assert page.locator(".result").last.locator(".exit").count() >= 1
    page.get_by_role("button", name="Clear").click()
    assert page.locator(".result").count() == 0


def test_images_are_dropped(opened, addresses):
    page = opened(addresses[0])
    expect(page.locator("#limits")).to_contain_text("MB")
    page.evaluate(
        """text => {
          const bytes = Uint8Array.from(atob(text), c => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], "dropped.png"));
          document.dispatchEvent(new DragEvent("drop", { dataTransfer: data, cancelable: true }));
        }""",
        base64.b64encode(content()).decode(),
    )
    expect(page.locator("#state")).to_have_text("The image is done.")
    assert page.locator(".result h3").text_content() == "dropped.png"


def chosen_by_key(page):
    """The dialog that the space bar opens; a busy machine may lose the first."""
    for patience in (5_000, 10_000, 30_000):
        try:
            with page.expect_file_chooser(timeout=patience) as chooser:
                page.keyboard.press("Space")
            return chooser.value
        except TimeoutError:
            continue
    return pytest.fail("the space bar opens no dialog")


def test_the_keyboard_reaches_everything(opened, addresses):
    page = opened(addresses[0])
    expect(page.locator("#limits")).to_contain_text("MB")
    focused = []
    for _ in range(2):
        page.keyboard.press("Tab")
        focused.append(page.evaluate("(e => e.id || e.className)(document.activeElement)"))
    assert focused == ["skip", "files"]
    chosen_by_key(page).set_files([file_of("a.png", content())])
    expect(page.locator("#state")).to_have_text("The image is done.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.locator(".result").count() == 0
    assert page.evaluate("document.activeElement.id") == "files"


def test_the_token_is_asked_for_and_kept_in_memory_only(opened, addresses):
    page = opened(addresses[1])
    field = page.get_by_label("This server asks for a token")
    expect(field).to_be_focused()
    assert page.locator("#choose").is_hidden()
    field.fill("wrong")
    page.keyboard.press("Enter")
    expect(page.locator("#denied")).to_have_text("The server does not accept this token.")
    field.fill(TOKEN)
    page.keyboard.press("Enter")
    expect(page.locator("#access")).to_be_hidden()
    page.locator("#files").set_input_files([file_of("a.png", content())])
    expect(page.locator("#state")).to_have_text("The image is done.")
    stored = "[localStorage.length, sessionStorage.length, document.cookie, location.href]"
    assert page.evaluate(stored) == [0, 0, "", f"{addresses[1]}/"]
    page.reload()
    expect(field).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1180])
def test_it_fits_and_is_accessible(scheme, width, opened, addresses):
    page = opened(addresses[0], color_scheme=scheme, viewport={"width": width, "height": 800})
    expect(page.locator("#limits")).to_contain_text("MB")
    page.locator("#files").set_input_files(
        [file_of("n" * 150 + ".png", content()), file_of("bad.png", b"no image")]
    )
    expect(page.locator("#state")).to_have_text("All 2 images are done.")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    violations = Axe().run(page)["violations"]
    assert [(v["id"], v["nodes"][0]["html"]) for v in violations] == []


def test_scripts_of_others_do_not_run(browser, addresses):
    page = browser.new_page()
    page.goto(addresses[0])
    blocked = page.evaluate(
        """() => new Promise(done => {
          document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective));
          const script = document.createElement("script");
          script.textContent = "window.ran = true";
          document.body.append(script);
        })"""
    )
    assert blocked == "script-src-elem"
    assert page.evaluate("window.ran") is None
    page.close()
