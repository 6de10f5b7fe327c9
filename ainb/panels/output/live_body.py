"""Blocks of a live panel as ipywidgets; only widgets with new content are sent to the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from ainb.panels.markup import Table
from ainb.panels.style import classes
from ainb.panels.view import Block, SideBySide


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a view for one widget.

    Attributes:
        kind: "text" (blocks in a row), "table", or "side" (nodes side by side).
        html: Content of a text or table.
        children: Nodes of a "side".
    """

    kind: str
    html: str = ""
    children: tuple[Node, ...] = ()

    @property
    def shape(self) -> tuple[Any, ...]:
        """Kinds of this node and its children: views of the same shape can use the same widgets."""
        return self.kind, tuple(child.shape for child in self.children)

    def texts(self) -> Iterator[str]:
        """Contents in the order of the widgets."""
        if self.kind == "side":
            for child in self.children:
                yield from child.texts()
        else:
            yield self.html


@dataclass(slots=True)
class Part:
    """Widgets of one node.

    Attributes:
        shape: Of the node.
        widget: The outermost widget.
        texts: HTML widgets inside it.
        boxes: Box widgets inside it.
    """

    shape: tuple[Any, ...]
    widget: Any = None
    texts: list[Any] = field(default_factory=list)
    boxes: list[Any] = field(default_factory=list)

    def update(self, node: Node) -> None:
        """Show another node of the same shape."""
        for widget, text in zip(self.texts, node.texts(), strict=True):
            widget.value = text  # the same value is not sent again

    def close(self) -> None:
        """Close its widgets, but not the layouts and the style, which all nodes share."""
        for widget in (*self.texts, *self.boxes):
            widget.close()


class LiveBody:
    """The blocks of a view as widgets.

    Unchanged content is not replaced, so that a selection in it is kept. A table scrolls inside its widget,
    which keeps scroll position and keyboard focus while its content is replaced.

    Args:
        blocks: The first blocks.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        import ipywidgets

        # Each model is a message to the page, so equal layouts and styles are shared.
        self._flush = ipywidgets.Layout(margin="0", overflow="visible")
        self._scrolling = ipywidgets.Layout(
            margin="0", overflow="auto hidden", min_width="0", max_width="100%"
        )
        self._columns = ipywidgets.Layout(margin="0", flex_flow="row wrap", grid_gap="0 3.2em")
        self._style: Any = None
        self._parts: list[Part] = []
        self.box = ipywidgets.VBox((), layout=self._flush)
        self.update(blocks)

    def update(self, blocks: Sequence[Block]) -> None:
        """Show other blocks; widgets of blocks at the same position are reused."""
        before, self._parts = self._parts, []
        for place, node in enumerate(_nodes(blocks)):
            kept = before[place] if place < len(before) and before[place].shape == node.shape else None
            if kept is not None:
                kept.update(node)
            self._parts.append(kept or self._make(node))
        gone = [part for part in before if not any(part is other for other in self._parts)]
        if gone or len(before) != len(self._parts):
            self.box.children = tuple(part.widget for part in self._parts)
        for part in gone:
            part.close()

    def close(self) -> None:
        """Close every widget with its layout and style, which ipywidgets would keep while the kernel runs."""
        for part in self._parts:
            part.close()
        for widget in (self.box, self._flush, self._scrolling, self._columns, self._style):
            if widget is not None:
                widget.close()

    def _make(self, node: Node) -> Part:
        part = Part(node.shape)
        part.widget = self._widget(node, part)
        return part

    def _widget(self, node: Node, part: Part) -> Any:
        import ipywidgets

        if node.kind == "side":
            children = [self._widget(child, part) for child in node.children]
            part.boxes.append(ipywidgets.Box(children, layout=self._columns))
            return part.boxes[-1]
        # Of the widgets without an own control, only HTML can take the focus.
        is_table = node.kind == "table"
        options: dict[str, Any] = {"tabbable": True} if is_table else {}
        if self._style is not None:
            options["style"] = self._style
        text = ipywidgets.HTML(node.html, layout=self._scrolling if is_table else self._flush, **options)
        self._style = text.style
        part.texts.append(text)
        return text


def _nodes(blocks: Sequence[Block]) -> list[Node]:
    nodes: list[Node] = []
    texts: list[str] = []

    def end_text() -> None:
        if texts:
            nodes.append(Node("text", _scoped("".join(texts))))
            texts.clear()

    for block in blocks:
        if isinstance(block, Table):
            end_text()
            nodes.append(Node("table", _scoped(block.table_html())))
        elif isinstance(block, SideBySide):
            end_text()
            nodes.append(Node("side", children=tuple(_nodes(block.blocks))))
        else:
            texts.append(block.html())
    end_text()
    return nodes


def _scoped(html: str) -> str:
    return f'<div class="{classes("panel")}">{html}</div>'
