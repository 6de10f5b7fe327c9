"""Blocks of a live panel as ipywidgets, of which only those with new content are sent to the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ainb.panels.markup import Table
from ainb.panels.style import classes
from ainb.panels.view import Block, SideBySide


@dataclass(frozen=True, slots=True)
class Node:
    """A part of a view that becomes one widget.

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
        """Kinds of this node and its children: views of the same shape fit the same widgets."""
        return self.kind, tuple(child.shape for child in self.children)

    def texts(self) -> Iterator[str]:
        """Contents in the order of the widgets."""
        if self.kind == "side":
            for child in self.children:
                yield from child.texts()
        else:
            yield self.html


class LiveBody:
    """The blocks of a view as widgets.

    Content that stays is not replaced, so that its selection is kept. A table scrolls in a box of its own,
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
        self._shape: tuple[Any, ...] = ()
        self._texts: list[Any] = []
        self._boxes: list[Any] = []
        self.box = ipywidgets.VBox((), layout=self._flush)
        self.update(blocks)

    def update(self, blocks: Sequence[Block]) -> None:
        """Show other blocks."""
        nodes = _nodes(blocks)
        shape = tuple(node.shape for node in nodes)
        if shape != self._shape:
            self._shape = shape
            self._replace(nodes)
            return
        texts = (text for node in nodes for text in node.texts())
        for widget, text in zip(self._texts, texts, strict=True):
            widget.value = text  # the same value is not sent again

    def close(self) -> None:
        """Close every widget with its layout and style, which ipywidgets would keep while the kernel runs."""
        shared = (self._flush, self._scrolling, self._columns, self._style)
        for widget in (self.box, *self._texts, *self._boxes, *shared):
            if widget is not None:
                widget.close()

    def _replace(self, nodes: Sequence[Node]) -> None:
        before = (*self._texts, *self._boxes)
        self._texts, self._boxes = [], []
        self.box.children = tuple(self._widget(node) for node in nodes)
        for widget in before:
            widget.close()

    def _widget(self, node: Node) -> Any:
        import ipywidgets

        if node.kind == "side":
            children = [self._widget(child) for child in node.children]
            return self._boxed(ipywidgets.Box(children, layout=self._columns))
        shared = {} if self._style is None else {"style": self._style}
        text = ipywidgets.HTML(node.html, layout=self._flush, **shared)
        self._style = text.style
        self._texts.append(text)
        if node.kind == "text":
            return text
        return self._boxed(ipywidgets.Box((text,), layout=self._scrolling, tabbable=True))

    def _boxed(self, box: Any) -> Any:
        self._boxes.append(box)
        return box


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
