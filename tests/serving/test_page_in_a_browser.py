"""The page in a headless Chromium: every view, keyboard, narrow screens, faults, accessibility."""

import pathlib
import urllib.parse

import pytest

from tests.serving.browser import FLAGS, ServedModels, chromium, serving, write_models

pytestmark = pytest.mark.slow
sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")

VIEWS = {
    "classes": ("answer", "compare", "attention", "tokens"),
    "pairs": ("answer", "compare", "tokens"),
    "multilabel": ("answer",),
    "number": ("answer", "compare"),
    "tags": ("answer", "compare", "tokens"),
    "questions": ("answer", "compare", "attention", "tokens"),
    "choices": ("answer", "compare", "attention"),
    "masks": ("fill-mask", "similarity", "attention", "tokens"),
    "encoder": ("similarity",),
    "exported": ("answer", "compare", "tokens"),
}
EVERY = [(model, view) for model, views in VIEWS.items() for view in views]
WIDE, NARROW = {"width": 1000, "height": 800}, {"width": 320, "height": 640}
DONE = '#answer[aria-busy="false"] > *'


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return ServedModels(write_models(tmp_path_factory.mktemp("models")))


@pytest.fixture(scope="module")
def url(models):
    with serving(models, max_characters=2000) as url:
        yield url


@pytest.fixture(scope="module")
def browser():
    path = chromium()
    if path is None:
        pytest.skip("there is no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Page:
    """A tab that remembers what it asked for and what it complained about."""

    def __init__(self, browser, url, viewport=WIDE, **options):
        self.url = url
        self.context = browser.new_context(viewport=viewport, locale="en-US", **options)
        self.tab = self.context.new_page()
        self.tab.set_default_timeout(300_000)  # A slow machine is no fault.
        self.complaints, self.requests = [], []
        self.tab.on("console", self._heard)
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("request", lambda request: self.requests.append(request.url))

    def _heard(self, message):
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def open(self, model, view, **values):
        fragment = urllib.parse.urlencode({"model": model, "view": view, **values})
        # Another fragment alone would not load the page.
        self.tab.goto("about:blank")
        self.tab.goto(f"{self.url}/#{fragment}")
        self.tab.wait_for_selector("#form, #lacking")
        return self

    def done(self):
        self.tab.wait_for_selector(DONE)
        self.tab.wait_for_selector(".busy", state="detached")
        return self

    def example(self, number=0):
        self.tab.click(f"#example-{number}")
        return self.done()

    def text(self, selector):
        return self.tab.inner_text(selector)

    def close(self, complaints=()):
        self.context.close()
        hosts = {urllib.parse.urlsplit(found).netloc for found in self.requests}
        assert hosts <= {urllib.parse.urlsplit(self.url).netloc, ""}
        unknown = [c for c in self.complaints if not any(known in c for known in complaints)]
        assert unknown == []


@pytest.fixture
def page(browser, url):
    page = Page(browser, url)
    yield page
    page.close()


def serious_faults(tab):
    package = pytest.importorskip("axe_playwright_python", reason="there is no axe-core")
    source = (pathlib.Path(package.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    tab.evaluate(source)
    found = tab.evaluate("() => axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        (fault["id"], node["html"][:200], node.get("failureSummary"))
        for fault in found
        if fault["impact"] in ("serious", "critical")
        for node in fault["nodes"]
    ]


CONTROLS = """() => {
    const all = 'a[href], button, input, select, textarea, summary, [tabindex="0"]';
    const shown = (node) => node.getClientRects().length;
    const found = [...document.querySelectorAll(all)].filter(shown);
    window.unreached = new Set(found);
    document.activeElement.blur();
    return found.length;
}"""
# The focus has gone on: whether one sees where it is. A token in a picture has a frame of its own.
REACHED = """() => {
    const node = document.activeElement;
    window.unreached.delete(node);
    const seen = node === document.body || node.ownerSVGElement;
    return seen || getComputedStyle(node).outlineStyle !== 'none' ? null : node.outerHTML;
}"""


def out_of_reach(tab):
    """What the tabulator does not come to, and where one does not see that it did."""
    count, unseen = tab.evaluate(CONTROLS), []
    for _ in range(count + 2):
        tab.keyboard.press("Tab")
        unseen.append(tab.evaluate(REACHED))
    left = tab.evaluate("() => [...window.unreached].map((node) => node.outerHTML)")
    return left + [node for node in unseen if node]


@pytest.mark.parametrize(("model", "view"), EVERY, ids=lambda value: value)
def test_every_view_answers_its_examples(page, model, view):
    page.open(model, view).example()
    assert page.tab.locator(".notice.bad").count() == 0
    assert page.tab.get_attribute(f"#view-{view}", "aria-current") == "page"
    assert out_of_reach(page.tab) == []
    # The Chinese example too: it is the last.
    page.example(page.tab.locator(".examples button").count() - 1)
    assert page.tab.locator(".notice.bad").count() == 0
    assert page.text("#answer").strip()
    assert serious_faults(page.tab) == []
    page.tab.set_viewport_size(NARROW)
    assert page.tab.evaluate("() => document.documentElement.scrollWidth") <= NARROW["width"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_chinese_and_dark(browser, url, scheme):
    page = Page(browser, url, color_scheme=scheme)
    page.open("classes", "answer").example()
    page.tab.click("#language")
    page.done()
    assert page.tab.get_attribute("html", "lang") == "zh-CN"
    assert "每个词的贡献" in page.text("#contributions")
    assert serious_faults(page.tab) == []
    page.open("masks", "fill-mask", text="the film", hidden="2").done()
    assert page.tab.get_attribute("html", "lang") == "zh-CN"  # It is remembered.
    assert serious_faults(page.tab) == []
    page.close()


def test_words_are_hidden_by_a_click(page):
    page.open("masks", "fill-mask", text="the films was [MASK]").done()
    assert page.tab.locator(".mask").count() == 1 and page.tab.locator("#masks .card").count() == 1
    page.tab.click('button.word:has-text("films")')
    page.tab.wait_for_selector("#masks .card:nth-child(3)")  # Two pieces, and the mask.
    assert "What was there: film, 0." in page.text("#masks")
    assert "What was there: ##s, 0." in page.text("#masks")
    assert page.tab.locator("#masks .card:first-child li").count() == 5
    page.tab.fill("#top", "9")
    assert page.tab.locator("#masks .card:first-child li").count() == 9
    # A link brings all of it back.
    link = page.tab.url
    page.tab.goto("about:blank")
    page.tab.goto(link)
    page.done()
    assert page.tab.locator("#masks .card").count() == 3
    page.tab.fill("#text", "we saw it")
    page.tab.wait_for_selector("text=No word is hidden yet.")


def test_contributions_add_up_and_removal_is_another_view(page):
    page.open("classes", "answer", text="the film was good , we saw it").done()
    page.tab.click('[data-key="label-good"]')
    page.done()
    assert page.tab.get_attribute('[data-key="label-good"]', "aria-pressed") == "true"
    note = page.text("#contributions")
    assert "the probability of good, 50 steps" in note and "every piece is [MASK]" in note
    total, change = (
        float(note.split(before)[1].split()[0].rstrip(".;").replace("\u2212", "-"))
        for before in ("add up to ", "minus baseline is ")
    )
    assert total == pytest.approx(change, abs=0.0021)
    shown = page.tab.locator("#contributions .word small").all_inner_texts()
    assert sum(float(x.replace("\u2212", "-")) for x in shown) == pytest.approx(total, abs=0.01)
    page.tab.click("text=Removal of the word")
    page.tab.wait_for_selector("text=falls when the word is left out")
    removed = page.tab.locator("#contributions .word small").all_inner_texts()
    assert len(removed) == len(shown) and removed != shown


def test_what_an_export_lacks_is_said(page):
    page.open("exported", "attention")
    assert "no gradients and no attention" in page.text("#lacking")
    page.open("exported", "answer", text="the film").done()
    assert "no gradients and no attention" in page.text("#contributions")
    page.tab.click("text=Removal of the word")
    page.tab.wait_for_selector("#contributions .word")


def test_compare_marks_what_differs(page):
    page.open("classes", "compare", text="the film was good", other_text="the film was bad").done()
    assert page.tab.locator("#compared ins").all_inner_texts() == ["bad"]
    changes = page.tab.locator("#answer > .card td").all_inner_texts()
    numbers = [float(change.replace("\u2212", "-")) for change in changes]
    assert len(numbers) == 3 and sum(numbers) == pytest.approx(0, abs=0.002)


def test_similarity_and_the_nearest_of_a_file(page, tmp_path):
    page.open("masks", "similarity", sentences="the film was good\nbad music").done()
    assert page.tab.locator(".heat td").all_inner_texts()[1] == "1.00"
    file = tmp_path / "lines.txt"
    file.write_text("we saw it\nthe film was good\nmusic\nbad music\n", encoding="utf-8")
    page.tab.set_input_files("#file", file)
    page.tab.wait_for_selector("#nearest .bar")
    best = page.tab.locator("#nearest .bar.best .label")
    assert best.inner_text() == "the film was good"
    page.tab.select_option("#nearest-to", "bad music")
    assert best.inner_text() == "bad music"
    page.tab.fill("#sentences", "one sentence")
    page.tab.wait_for_selector("text=Write two sentences or more.")


def test_attention_shows_one_head_large(page):
    page.open("classes", "attention", text="the film was good").done()
    assert page.tab.locator(".maps button").count() == 4  # Two layers of two heads.
    page.tab.click('[data-key="head-1-0"]')
    assert page.text("#large h2") == "Layer 2, head 1"
    assert page.tab.locator("svg.lines .token").count() == 6
    page.tab.uncheck("#specials")
    assert page.tab.locator("svg.lines .token").count() == 4
    page.tab.focus("svg.lines .token >> nth=1")
    page.tab.keyboard.press("Enter")
    seen = page.tab.locator('svg.lines line:not([stroke-opacity="0"])').count()
    assert 1 <= seen <= 4
    page.tab.click("#large >> text=Map")
    assert page.tab.locator("svg.lines rect.cell").count() == 16
    assert "not an explanation" in page.text("#answer")


def test_tokens_that_are_cut(page):
    page.open("classes", "tokens", text="the film was good " * 5).done()
    assert page.tab.locator("#tokens tr.cut").count() == 20 - 14
    assert "6 pieces did not fit" in page.text("#answer")


def test_a_keyboard_is_enough(page):
    page.open("masks", "fill-mask", text="the film was good").done()
    page.tab.focus("body")
    seen = []
    for _ in range(40):
        page.tab.keyboard.press("Tab")
        # Where the focus is, and whether one sees it.
        seen.append(
            page.tab.evaluate(
                """() => { const node = document.activeElement;
                return [node.id || node.dataset.key, getComputedStyle(node).outlineStyle]; }"""
            )
        )
    reached = {name for name, _ in seen}
    controls = {"skip", "model", "language", "view-fill-mask", "view-tokens", "text", "run", "link"}
    assert controls | {"example-0", "word-0", "word-4", "word-13", "top"} <= reached
    assert all(outline != "none" for name, outline in seen if name)
    page.tab.focus('[data-key="word-4"]')
    page.tab.keyboard.press("Space")
    page.tab.wait_for_selector("#masks .card")
    focused = "() => document.activeElement.dataset.key"
    assert page.tab.evaluate(focused) == "word-4"  # The keyboard goes on from there.
    page.tab.focus("#text")
    page.tab.keyboard.type("music ")
    page.tab.keyboard.press("Control+Enter")
    page.tab.wait_for_selector('button.word:has-text("music")')
    page.tab.focus("#view-tokens")
    page.tab.keyboard.press("Enter")
    page.tab.wait_for_selector("#tokens")


def test_empty_too_long_and_refused(browser, url):
    page = Page(browser, url)
    page.open("classes", "answer")
    page.tab.wait_for_selector("text=Write something above")
    page.tab.fill("#text", "a" * 2001)
    page.tab.wait_for_selector(".notice.bad >> text=Too long")
    page.tab.fill("#text", "the film")
    page.done()
    page.open("masks", "fill-mask", text="[MASK] " * 17)
    page.tab.wait_for_selector(".notice.bad >> text=at most 16 masks")
    page.close(["413", "400"])


def test_a_server_that_is_gone_and_comes_back(browser, url):
    page = Page(browser, url)
    page.open("classes", "answer", text="the film").done()
    page.tab.route("**/page/v1/**", lambda route: route.abort())
    page.tab.click("#run")
    page.tab.wait_for_selector("text=The server does not answer.")
    page.tab.unroute("**/page/v1/**")
    page.tab.click("#again")
    page.done()
    page.close(["ERR_FAILED"])


def test_a_late_answer_is_called_late(browser, url):
    page = Page(browser, url)
    held = []
    page.open("classes", "tokens")
    page.tab.route("**/tokens", lambda route: held.append(route))
    page.tab.fill("#text", "the film")
    page.tab.wait_for_selector("#status .busy")
    held.pop().continue_()
    page.tab.wait_for_selector("#tokens")
    assert page.tab.locator("#status .busy").count() == 0
    page.close()


def test_a_server_that_asks_for_a_token(browser, models):
    with serving(models, token="secret") as url:
        page = Page(browser, url)
        page.tab.goto(f"{url}/#model=classes&view=tokens&text=the+film")
        for token, said in {"wrong": "asks for a token.", "secret": "refused this token."}.items():
            page.tab.wait_for_selector(f"text=The server {said}")
            page.tab.fill("#token", token)
            page.tab.click("text=Open")
        page.tab.wait_for_selector("#tokens")
        page.close(["401"])
