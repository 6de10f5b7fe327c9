"""Hooks of MkDocs: pages made from the code, the notebooks and the repository's own texts."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:  # the ``mkdocs`` program does not search the current folder
    sys.path.insert(0, str(ROOT))

from mkdocs.structure.files import File, Files  # noqa: E402 - after the path

from docs.hooks.api_pages import api_pages  # noqa: E402
from docs.hooks.error_pages import errors_page  # noqa: E402
from docs.hooks.errors import IncompleteDocsError  # noqa: E402
from docs.hooks.notebook_pages import notebook_pages, put_in  # noqa: E402
from docs.hooks.pipeline_drawing import drawing  # noqa: E402
from docs.hooks.table_pages import (  # noqa: E402
    columns_page,
    commands_page,
    options_page,
    services_page,
    settings_page,
)

DRAWING: Final = "<!-- pipeline -->"
_SECURITY: Final = re.compile(r"<!-- security: (.+) -->")
_outputs: dict[str, str] = {}


def made_pages(outputs: dict[str, str]) -> dict[str, str]:
    """Markdown of every generated page by name.

    Args:
        outputs: Receives the HTML of the notebooks' outputs.

    Raises:
        IncompleteDocsError: A table of the code lacks a line of documentation.
    """
    return {
        "reference/errors.md": errors_page(),
        "reference/settings.md": settings_page(),
        "reference/columns.md": columns_page(),
        "reference/commands.md": commands_page(),
        "reference/cell-options.md": options_page(),
        "reference/providers.md": services_page(),
        "security.md": (ROOT / "SECURITY.md").read_text(encoding="utf-8"),
        "changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"),
        **api_pages(),
        **notebook_pages(outputs),
    }


def security_table(heading: str) -> str:
    """The first table below a heading of SECURITY.md.

    Raises:
        IncompleteDocsError: There is none.
    """
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(heading)}\n(?:(?!^## |^\|).*\n)*((?:^\|.*\n)+)", text, re.MULTILINE)
    if found is None:
        raise IncompleteDocsError(f"SECURITY.md has no table below {heading!r}")
    return found[1]


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages."""
    _outputs.clear()
    for name, text in made_pages(_outputs).items():
        files.append(File.generated(config, name, content=text))
    for picture in sorted((ROOT / "notebooks" / "images").iterdir()):
        files.append(File.generated(config, f"images/{picture.name}", abs_src_path=str(picture)))
    return files


def on_page_content(html: str, **_given: Any) -> str:
    """Insert the outputs of notebooks."""
    return put_in(html, _outputs)


def on_page_markdown(markdown: str, page: Any, **_given: Any) -> str:
    """Insert the drawing and tables of SECURITY.md, and link names of errors to their entries."""
    if DRAWING in markdown:
        markdown = markdown.replace(DRAWING, drawing())
    markdown = _SECURITY.sub(lambda found: security_table(found[1]), markdown)
    if page.file.src_uri.startswith(("reference/", "changelog", "notebooks/")):
        return markdown
    up = "../" * page.file.src_uri.count("/")
    return re.sub(r"(?<!\[)`(\w+Error)`(?!\])", rf"[`\1`]({up}reference/errors.md#\1)", markdown)
