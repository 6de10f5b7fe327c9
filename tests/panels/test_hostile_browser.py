"""Browser tests of hostile strings: no output of ainb in JupyterLab runs or loads anything."""

from __future__ import annotations

import re

import pytest

from tests.hostile import HOSTILE
from tests.panels.browser_lab import violations

pytestmark = pytest.mark.browser

SETUP = r"""%load_ext ainb
%config Ainb.retry = False
%config Ainb.circuit = False
import ainb
import pandas as pd
from ainb.panels.batch import BatchPanel
from ainb.panels.output.live import stop_all
from ainb.testing import Step, script
from tests.hostile import HOSTILE

session, ip = ainb.current(), get_ipython()

def each(line, steps, prompt=lambda text: "show it"):
    for text, step in zip(HOSTILE, steps):
        script("hostile", [step])
        ip.run_cell(f"%%ai scripted:hostile {line}\n{prompt(text)}")
"""
# Where it is shown, and the cell, which shows all hostile strings.
SURFACES = {
    **{
        f"a reply as {form}": f'each("-f {form} --no-stream", HOSTILE)'
        for form in ("markdown", "text", "json", "html", "math")
    },
    "a reply that comes in pieces": 'each("-f markdown --stream", HOSTILE)',
    "an error text": 'each("", [Step(status=400, code=text) for text in HOSTILE])',
    "a prompt": 'each("--dry-run", HOSTILE, prompt=lambda text: text)',
    "names and messages in the log": """for text in HOSTILE:
    session.record(prompt=text, reply=text, model=text, provider="openai", cost_usd=1)
    session.record(prompt=text, model=text, provider="openai", error=ValueError(text), cost_usd=0)""",
    "the board": "%ai panel",
    "the cost panel": "%ai panel cost",
    "the errors panel": "%ai panel errors",
    "a table of ours": "%ai usage",
    "a table of failures": "%ai errors",
    "a table of costs": "%ai cost",
    "a batch, its title, its rows and its failures": """# pandas takes no lone surrogate
frame = pd.DataFrame({"text": [text for text in HOSTILE if text.isascii()]})
script("rows", [step for text in frame["text"] for step in (text, Step(status=400, code=text))])
for text in HOSTILE[:5]:
    template = text.replace("{", "").replace("}", "") + "{text}"
    panel = BatchPanel.open(title=text)
    session.map(frame, template, model="scripted:rows", watcher=panel)""",
    "the frame of a batch": """script("rows", frame["text"])
session.map(frame, "{text}", model="scripted:rows")""",
    "a frame of the log": "session.usage().tail(20)",
    "columns and labels of a table": """labels = [text for text in HOSTILE if text.isascii()]
wide = pd.DataFrame([labels] * 2, columns=labels, index=labels[:2])
display(session.map(wide.assign(text=["one", "two"]), "say {text}", keep=True, model="scripted:echo"))
session.map(wide, "say {" + labels[0] + "}", model="scripted:echo", watcher=BatchPanel.open(title=labels[0]))""",  # noqa: E501
    "a comparison": """texts = frame["text"].tolist()
rows = pd.DataFrame({"text": texts, "truth": texts, "b": texts[::-1]})
session.compare(rows, {texts[0]: "{text}", texts[1]: "{b} {text}"}, truth="truth", models="scripted:echo")""",
    "names of ours": """for text in HOSTILE:
    for line in ("panel", "register", "list", "chat", "help"):
        try:
            ip.run_line_magic("ai", f"{line} {text.splitlines()[0]}")
        except Exception:
            ip.showtraceback()""",
    "the end of live panels": "stop_all()",
    "a reply as code": 'each("-f code", HOSTILE)',  # last, because it adds a cell below itself
}  # fmt: skip

# Any link of the page that would run code, with the number of its cell. In plain text JupyterLab makes links
# of data: URLs, which browsers refuse to open as pages.
BAD_LINKS = """() => {
  const cells = [...document.querySelectorAll('.jp-Cell')];
  const target = a => a.getAttribute('href') ?? a.getAttribute('xlink:href') ?? '';
  return [...document.querySelectorAll('a')].filter(a => /^\\s*(javascript|vbscript|data):/i.test(target(a)))
    .filter(a => !(a.protocol === 'data:' && a.target === '_blank' && a.closest('.jp-RenderedText')))
    .map(a => [cells.indexOf(a.closest('.jp-Cell')), a.closest('.jp-OutputArea-output')?.className,
      a.outerHTML.slice(0, 300)].join(' '));
}"""

QUIET = {"names and messages in the log", "the end of live panels"}
CONTROL = """from IPython.display import HTML
HTML("<img src=data: onerror='window.seen = 1; alert(\\"here\\")'>")"""


class Watch:
    """Records dialogs and requests of a page."""

    def __init__(self, context, page, url: str) -> None:
        self.ran: list[str] = []
        self.asked: list[str] = []
        self.url = url
        context.route("**/*", self._route)
        context.on("page", lambda other: self.ran.append(f"opened {other.url}"))
        page.on("dialog", self._dialog)

    def _dialog(self, dialog) -> None:
        self.ran.append(f"dialog {dialog.message}")
        dialog.dismiss()

    def _route(self, route) -> None:
        url = route.request.url
        if url.startswith((self.url, "data:", "blob:", "about:", "file:")) and not url.endswith("/x"):
            route.continue_()
        else:
            self.asked.append(url)
            route.abort()


def assert_harmless(page, watch: Watch) -> None:
    page.wait_for_timeout(300)  # for delayed scripts
    assert watch.ran == []
    assert watch.asked == []
    links = page.evaluate(
        "() => [...document.querySelectorAll('.ainb a')].map(a => [a.protocol, a.rel, a.referrerPolicy])"
    )
    assert {protocol for protocol, _, _ in links} <= {"http:", "https:"}
    # JupyterLab keeps only "noopener" of rel="noopener noreferrer".
    assert all("noopener" in rel and policy == "no-referrer" for _, rel, policy in links)
    assert page.evaluate(BAD_LINKS) == []
    frames = page.locator("iframe[srcdoc]")
    assert {frames.nth(place).get_attribute("sandbox") for place in range(frames.count())} <= {""}
    elements = ["script", "object", "embed", "form", "video", "base", "meta", "link"]
    attributes = ["[onload]", "[onerror]", "[onclick]", "[onmouseover]", "[onfocus]"]
    assert page.locator(", ".join(f".ainb {name}" for name in elements + attributes)).count() == 0


def test_no_hostile_string_runs_or_loads_anything_wherever_it_is_shown(page, lab, browser):
    watch = Watch(page.page.context, page.page, lab.url)
    page.open("hostile.ipynb", [SETUP, *SURFACES.values()])
    page.run(0)
    assert "Error" not in page.text_of_cell(0)

    for cell, surface in enumerate(SURFACES, 1):
        page.run(cell)
        if surface not in QUIET:
            page.cell(cell).locator(".jp-OutputArea-output >> visible=true").first.wait_for()
        assert not re.search(r"(?m)^(Name|Type|Attribute|Usage)Error", page.text_of_cell(cell)), surface
        assert watch.ran == [], surface
        assert watch.asked == [], surface
    assert page.page.locator("iframe[srcdoc]").count() == len(HOSTILE)
    assert_harmless(page.page, watch)
    assert page.page.locator(".jp-Notebook").is_visible()
    assert violations(page.page, ".ainb") == []  # except formulas and tracebacks, which JupyterLab renders
    for selector in ("[data-commandlinker-command]", ".ainb [href='#']"):
        assert page.page.locator(f".jp-OutputArea {selector}").count() == 0

    page.save()
    page.visit()  # the saved outputs in a new page, as another user opens it
    assert_harmless(page.page, watch)
    exported = page.export()
    context = browser.new_context()
    try:
        shown = context.new_page()
        offline = Watch(context, shown, "file:")
        shown.goto(exported.as_uri(), wait_until="load")
        assert offline.ran == []
        assert not [url for url in offline.asked if "evil" in url or url.endswith("/x")]
    finally:
        context.close()

    # Control: the check detects code that runs, in a page that shows such a picture.
    page.open("control.ipynb", [CONTROL])
    page.run(0)
    page.page.wait_for_function("() => window.seen")
    assert watch.ran == ["dialog here"]
