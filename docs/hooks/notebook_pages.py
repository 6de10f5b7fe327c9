"""Pages of the notebooks with their saved outputs, which tests compare byte by byte."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "notebooks"
# HTML of outputs is inserted after the conversion of Markdown, which would change it.
PLACE: Final = '<div class="ainb-output" data-place="{place}"></div>'
_PLACED: Final = re.compile(r'<div class="ainb-output" data-place="([^"]+)"></div>')
_ESCAPES: Final = re.compile(r"\x1b\[[0-9;]*m")
ALT: Final = "Chart that this cell draws; the text above describes it"


def notebook_pages(outputs: dict[str, str]) -> dict[str, str]:
    """Markdown of each page by name.

    Args:
        outputs: Receives the HTML of each output by its position.
    """
    return {
        f"notebooks/{path.stem}.md": notebook_page(path, outputs)
        for path in sorted(FOLDER.glob("[0-9]*.ipynb"))
    }


def notebook_page(path: Path, outputs: dict[str, str]) -> str:
    """One notebook as Markdown."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    parts = []
    for number, cell in enumerate(cells):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(_outward(source))
        else:
            parts.append(fenced(source, "ipython"))
            for part, output in enumerate(cell["outputs"]):
                parts.append(_output(output, f"{path.stem}-{number}-{part}", outputs))
    made = f"This page is `notebooks/{path.name}` with its saved outputs; a test runs it and compares them."
    return "\n\n".join([*parts, f"---\n\n*{made}*"]) + "\n"


def put_in(page: str, outputs: dict[str, str]) -> str:
    """Insert the outputs into the page's HTML."""
    return _PLACED.sub(lambda found: f'<div class="ainb-output">{outputs[found[1]]}</div>', page)


def fenced(text: str, language: str) -> str:
    """A code block; the fence is longer than any in the text."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall(r"^`{3,}", text, re.MULTILINE)), 3)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}"


def _outward(text: str) -> str:
    """Markdown of a cell: links to pages of the docs stay links, names of other files stay names."""
    text = re.sub(r"\]\(\.\./docs/([^)]+)\)", r"](site:\1)", text)
    text = re.sub(r"\]\((\d\d_\w+)\.ipynb\)", r"](site:notebooks/\1.md)", text)
    text = re.sub(r"\[([^\]]+)\]\((?!https?://|#|site:)[^)]+\)", r"\1", text)
    return text.replace("](site:", "](../")


def _output(output: dict[str, Any], place: str, outputs: dict[str, str]) -> str:
    if output["output_type"] == "stream":
        return fenced("".join(output["text"]), "text")
    if output["output_type"] == "error":
        return fenced(_ESCAPES.sub("", "\n".join(output["traceback"])), "text")
    data = output["data"]
    if "text/html" in data:
        outputs[place] = "".join(data["text/html"])
    elif "image/png" in data:
        picture = "".join(data["image/png"]).replace("\n", "")
        outputs[place] = f'<img alt="{html.escape(ALT)}" src="data:image/png;base64,{picture}">'
    else:
        return fenced("".join(data.get("text/plain", "")), "text")
    return PLACE.format(place=place)
