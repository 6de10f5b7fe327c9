"""Make the README's pictures: a running batch and the board, light and dark, and a recording of a batch.

    python -m tests.panels.screenshots          # or: make screenshots

The log has a made-up week of calls. The batch asks a server on loopback with OpenAI's protocol and prices,
which sometimes fails. Nothing is sent to another machine.
"""

from __future__ import annotations

import io
import os
import re
import sys
import tempfile
import zlib
from pathlib import Path

from PIL import Image

from tests.fault_server import Fault, FaultServer, Seen, Step
from tests.panels.browser_lab import LIGHT, ROOT, Lab, Page, chromium, missing
from tests.panels.made_up_week import fill

FOLDER = ROOT / "notebooks" / "images"
THEMES = {"light": LIGHT, "dark": "JupyterLab Dark"}
VIEWPORT = {"width": 1040, "height": 1500}
MAX_BYTES = 150_000
MAX_RECORDING_BYTES = 600_000
FRAME_SECONDS = 0.5
FRAMES = 60
HOLD_SECONDS = 4.0
RECORDING_WIDTH = 680
COLOURS = 256
NEGATIVE = re.compile(
    r"\b(not?|never|\w+n't|problems?|bad|worst|poor|broken?|trying|contact|rebate|return\w*|waste|dead|died|stopped|but)\b"
)
SETUP = """%load_ext ainb
%config Ainb.budget = "5/day"
%config Ainb.rate_limit = {{"requests_per_minute": 3000, "concurrency": 16}}
%config Ainb.retry = {{"attempts": 3, "base_seconds": 0.1}}
import ainb, pandas as pd
from typing import Literal, TypedDict
reviews = pd.read_csv({reviews!r})["text"].drop_duplicates().head(600).to_frame("review")
class Label(TypedDict):
    label: Literal["positive", "negative"]
session = ainb.current()
for question in ("hello", "again"):
    try:
        session.ask(question, model="anthropic:claude-haiku-4-5")
    except ainb.AinbError:
        pass
"""
BATCH = """%%ai openai:gpt-5-mini --each reviews --schema Label --into labels --max-tokens 200
Is this review positive or negative? {review}"""

RECORDED = """%%ai openai:gpt-5-mini --each reviews --limit 320 --schema Label --into first --max-tokens 200
Positive or negative? {review}"""


def plan(seen: Seen) -> Step:
    """A plan of the fault server: labels, one in fifty invalid, and sometimes refusals or overload."""
    if seen.path.endswith("/messages"):
        return Fault(status=401, message="invalid x-api-key")
    number = zlib.crc32(seen.raw)
    if number % 43 == 0:
        return Fault(text='{"label": "mixed"}', delay_seconds=0.4)
    if number % 97 == 1:
        return Fault(status=400, message="the prompt was filtered")
    if number % 89 == 2:
        return Fault(status=503, message="the server is overloaded")
    label = "negative" if NEGATIVE.search(seen.raw.decode()) else "positive"
    return Fault(text=f'{{"label": "{label}"}}', delay_seconds=0.7)


def picture(page: Page, cell: int, name: str) -> None:
    """Save one cell with its output in both themes, with a reduced palette."""
    FOLDER.mkdir(exist_ok=True)
    for theme, lab_theme in THEMES.items():
        page.theme(lab_theme)
        page.page.wait_for_timeout(500)
        path = FOLDER / f"{name}-{theme}.png"
        page.page.locator(".jp-Notebook .jp-Cell").nth(cell).screenshot(path=path)
        with Image.open(path) as image:
            small = image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
        small.save(path, optimize=True)
        size = path.stat().st_size
        print(f"{path.relative_to(ROOT)}: {small.width} x {small.height}, {size:,} bytes")
        if size > MAX_BYTES:
            raise SystemExit(f"{path.name} takes {size:,} bytes, more than {MAX_BYTES:,}")


def recording(page: Page, cell: int, name: str) -> None:
    """Record a cell from its start to its final panel, as an animated GIF in the light theme."""
    page.theme(LIGHT)
    page.start(cell)
    box = page.page.locator(".jp-Notebook .jp-Cell").nth(cell)
    frames = []
    for _ in range(FRAMES):
        frames.append(Image.open(io.BytesIO(box.screenshot())))
        if "· done" in box.inner_text():
            break
        page.page.wait_for_timeout(FRAME_SECONDS * 1000)
    height = max(frame.height for frame in frames)
    # One palette for all frames, so that a frame contains only what has changed.
    palette = fitted(frames[-1], height).quantize(32, dither=Image.Dither.NONE)
    shown = [fitted(frame, height).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    path = FOLDER / f"{name}.gif"
    waits = [int(FRAME_SECONDS * 1000)] * (len(shown) - 1) + [int(HOLD_SECONDS * 1000)]
    shown[0].save(path, save_all=True, append_images=shown[1:], duration=waits, loop=0, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {len(shown)} frames, {size:,} bytes")
    if size > MAX_RECORDING_BYTES:
        raise SystemExit(f"{path.name} takes {size:,} bytes, more than {MAX_RECORDING_BYTES:,}")


def fitted(frame: Image.Image, height: int) -> Image.Image:
    """The frame on a white background of the recording's size."""
    page = Image.new("RGB", (frame.width, height), "white")
    page.paste(frame.convert("RGB"), (0, 0))
    return page.resize(
        (RECORDING_WIDTH, round(height * RECORDING_WIDTH / frame.width)), Image.Resampling.LANCZOS
    )


def main() -> None:
    """Make all five pictures."""
    reason = missing()
    if reason is not None:
        raise SystemExit(reason)
    with tempfile.TemporaryDirectory() as folder, FaultServer(plan) as server:
        key = "made-up-for-pictures"
        os.environ |= {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": key}
        os.environ |= {"ANTHROPIC_BASE_URL": server.base_url, "ANTHROPIC_API_KEY": key}
        lab = Lab(Path(folder) / "lab")
        try:
            fill(lab.home)
            with chromium() as browser:
                context = browser.new_context(viewport=VIEWPORT, device_scale_factor=1.5)
                draw(Page(context.new_page(), lab))
        finally:
            lab.close()


def draw(page: Page) -> None:
    """Run the notebook; draw the batch after a third of its rows, and the board at the end."""
    setup = SETUP.format(reviews=str(ROOT / "notebooks" / "data" / "reviews.csv"))
    page.open("analysis.ipynb", [BATCH, "%ai panel", setup, RECORDED])
    page.command("application:toggle-left-area")
    page.run(2)
    page.start(0)
    page.page.wait_for_function("() => document.querySelector('.jupyter-widgets progress')?.value >= 200")
    page.select(2)
    picture(page, 0, "batch")
    page.page.wait_for_function("() => !document.querySelector('.jupyter-widgets')", timeout=180_000)
    page.settle()
    page.run(1)
    page.cell(1).locator("figure img").wait_for()
    page.select(2)
    picture(page, 1, "board")
    recording(page, 3, "batch")


if __name__ == "__main__":
    sys.exit(main())
