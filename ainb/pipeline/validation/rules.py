"""Validation rules and findings: what to search for, in which part of a call, and what to do.

A rule is a function that finds places in a text, with a name and an action. Findings contain no part of the
text, so they may be logged and shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

from ainb.errors import ConfigError

Action = Literal["allow", "warn", "redact", "block"]
Part = Literal["typed", "values", "rows", "reply"]
Place = tuple[int, int, str]
Places = Iterable[tuple[int, int] | Place]

ACTIONS: tuple[Action, ...] = get_args(Action)
PARTS: tuple[Part, ...] = get_args(Part)
SENT: tuple[Part, ...] = ("typed", "values", "rows")
UNTRUSTED: tuple[Part, ...] = ("values", "rows")
# After this many places the rest of the text counts as one, so that the list is bounded.
MAX_PLACES = 25_000


class Finding(NamedTuple):
    """A place where a rule applies; never the text at that place.

    Attributes:
        rule: Name of the rule.
        kind: Kind of finding, such as "OpenAI key"; the rule's name where it has no kinds.
        action: "allow", "warn", "redact" or "block".
        part: "typed" by the user, filled-in "values", batch "rows", or the "reply".
        start: First character, counted in the text as the rule received it (earlier rules may have redacted).
        end: One past the last character.
        message: Index of the message in the call; None for a parameter, a reply, or a text alone.
    """

    rule: str
    kind: str
    action: Action
    part: Part
    start: int
    end: int
    message: int | None = None


@dataclass(frozen=True, kw_only=True)
class Rule:
    """A validation rule: what to search for, and what to do about it.

    Attributes:
        name: A noun in the singular, such as "secret"; used in notes, errors and `Validation.actions`.
        find: Returns ``(start, end)`` or ``(start, end, kind)`` of each place in a text, in time linear in
            its length.
        action: "block" refuses the call, "redact" replaces the place, "warn" adds a note, "allow" only lists
            it among the findings.
        parts: Parts of a call that it checks: "typed", "values", "rows", "reply".
        replacement: Replacement of "redact"; ``{kind}`` in it is the kind.
        may_hold: Fast pre-check: False only where neither the text nor a part of it contains a place. None
            means that `find` is called for every text.
        reversible: Whether "redact" inserts numbered placeholders such as ``<EMAIL_1>``, which can be
            replaced in the reply.

    Raises:
        ConfigError: A value is not valid.

    Examples:
        >>> import re
        >>> def find(text):
        ...     return [match.span() for match in re.finditer("Apollo", text)]
        >>> rule = Rule(name="project name", find=find)
        >>> rule.places("To Apollo!")
        [(3, 9, 'project name')]
    """

    name: str
    find: Callable[[str], Places]
    action: Action = "block"
    parts: tuple[Part, ...] = SENT
    replacement: str = "[redacted {kind}]"
    reversible: bool = False
    may_hold: Callable[[str], bool] | None = None

    def __post_init__(self) -> None:
        name: object = self.name
        if not isinstance(name, str) or not name.strip():
            raise ConfigError(f"the name of a rule must be a text that is not empty; it is {name!r}")
        if not callable(self.find):
            raise ConfigError(
                f"find of the rule {self.name!r} must be a function of a text; it is {self.find!r}"
            )
        if self.may_hold is not None and not callable(self.may_hold):
            raise ConfigError(
                f"may_hold of the rule {self.name!r} must be a function of a text; it is {self.may_hold!r}"
            )
        check_action(f"action of the rule {self.name!r}", self.action)
        parts: object = self.parts
        if not isinstance(parts, tuple) or not parts or not set(parts) <= set(PARTS):
            raise ConfigError(
                f"parts of the rule {self.name!r} must be a tuple of some of {', '.join(PARTS)}; it is "
                f"{parts!r}"
            )
        if not isinstance(self.replacement, str):
            raise ConfigError(f"replacement of the rule {self.name!r} must be a text")

    def places(self, text: str) -> list[Place]:
        """``(start, end, kind)`` of each place, in order, without overlap.

        Raises:
            ConfigError: The function fails or returns something else; a rule that fails lets nothing pass.
        """
        try:
            if self.may_hold is not None and not self.may_hold(text):
                return []
            found = list(itertools.islice(self.find(text), MAX_PLACES + 1))
            if not found:
                return []
            places = [
                (item[0], item[1], str(item[2]) if len(item) > 2 else self.name)  # noqa: PLR2004 - a kind
                for item in found
            ]
            inside = all(0 <= start < end <= len(text) for start, end, _ in places)
        except BaseException as error:
            if isinstance(error, SystemExit | KeyboardInterrupt):
                raise
            raise ConfigError(
                f"the rule {self.name!r} failed with {type(error).__name__}; nothing was sent; fix its "
                "function or remove the rule"
            ) from error
        if not inside:
            raise ConfigError(
                f"the rule {self.name!r} failed: it returned a place outside the text; nothing was "
                "sent; fix its function"
            )
        if len(places) > MAX_PLACES:
            start, _, kind = places[-1]
            places[-1] = (start, len(text), kind)
        return merged(places)


def merged(places: list[Place]) -> list[Place]:
    """Places in order; overlapping ones are merged, with the kind of the first."""
    if all(before[1] <= after[0] for before, after in itertools.pairwise(places)):
        return places
    joined: list[Place] = []
    for start, end, kind in sorted(places, key=lambda place: (place[0], -place[1])):
        if joined and start < joined[-1][1]:
            first, last, name = joined[-1]
            joined[-1] = (first, max(last, end), name)
        else:
            joined.append((start, end, kind))
    return joined


def replace_places(text: str, places: Iterable[Place], write: Callable[[str, str], str]) -> str:
    """The text with each place replaced.

    Args:
        text: Text with the places.
        places: In order, without overlap.
        write: Returns the replacement for kind and original text.
    """
    pieces, at = [], 0
    for start, end, kind in places:
        pieces += [text[at:start], write(kind, text[start:end])]
        at = end
    return "".join([*pieces, text[at:]])


def check_action(name: str, value: object) -> None:
    """Raise unless a value is an action.

    Raises:
        ConfigError: It is not; the message names the option and the actions.
    """
    if value not in ACTIONS:
        raise ConfigError(f"{name} must be one of {', '.join(ACTIONS)}; it is {value!r}")


def with_actions(rules: Iterable[Rule], actions: Mapping[str, Action]) -> list[Rule]:
    """The rules with the actions of `actions`, where it names them."""
    import dataclasses

    return [
        dataclasses.replace(rule, action=actions[rule.name]) if rule.name in actions else rule
        for rule in rules
    ]
