"""Validator: applies rules to texts and calls; returns findings and the redacted request. No I/O."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ainb.messages import Call, Message, Request
from ainb.pipeline.validation.filled import Source, Stretches
from ainb.pipeline.validation.findings import notes, refusal
from ainb.pipeline.validation.options import Validation
from ainb.pipeline.validation.placeholders import Placeholders
from ainb.pipeline.validation.presets import DEFAULT_RULES, OWN_KEY_RULE
from ainb.pipeline.validation.rules import PARTS, Finding, Part, Place, Rule, replace_places, with_actions

_WRITTEN_BY_PROGRAM = frozenset({"system", "developer"})
_PLAIN = frozenset({int, float, bool, type(None)})


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """Result of validating a call.

    Attributes:
        request: The request that may be sent; the call's own when nothing was redacted.
        findings: Every place where a rule applies, in the order of the rules.
        notes: One line per rule that redacts or warns.
        refusal: Reason not to send it, on one line; None when it may be sent.
        placeholders: Original text by placeholder.
    """

    request: Request
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()
    refusal: str | None = None
    placeholders: Mapping[str, str] = field(default_factory=dict, repr=False)


class Validator:
    """Applies the rules that the options select.

    Args:
        options: None means the defaults.

    Attributes:
        options: The options.
        rules: The rules in the order in which they apply.
        changes_reply: Whether some rule may change or refuse a reply, so that it cannot be streamed.

    Examples:
        >>> [finding.rule for finding in Validator(Validation(preset="strict")).check("<b>eval(x)</b>")]
        ['eval or exec call', 'HTML tag', 'HTML tag']
    """

    def __init__(self, options: Validation | None = None) -> None:
        self.options = options or Validation()
        self.rules = tuple(rules_of(self.options))
        self._of_part = {part: [rule for rule in self.rules if part in rule.parts] for part in PARTS}
        self._sent = [rule for rule in self.rules if set(rule.parts) != {"reply"}]
        secrets = next((rule for rule in self._sent if rule.name == OWN_KEY_RULE.name), None)
        # With the action of the rule for secrets.
        self._own_keys = None if secrets is None else dataclasses.replace(OWN_KEY_RULE, action=secrets.action)
        self._reversible = any(rule.reversible for rule in self.rules)
        looks = [rule.may_hold for rule in self._sent]
        self._looks = None if None in looks else tuple(look for look in looks if look is not None)
        self.changes_reply = any(rule.action in {"redact", "block"} for rule in self._of_part["reply"])

    def check(self, text: str, part: Part = "values") -> list[Finding]:
        """Find every place where a rule for this part applies; nothing is changed.

        Args:
            text: Text to check.
            part: Part of a call: "typed", "values" (filled-in texts), "rows" or "reply".
        """
        return [
            Finding(rule.name, kind, rule.action, part, start, end)
            for rule in self._of_part[part]
            for start, end, kind in rule.places(text)
        ]

    def redact(self, text: str, part: Part = "values") -> str:
        """The text after every redacting rule for this part; blocking rules are not applied."""
        work = _Work(Placeholders({}, (text,)))
        return self._look(text, Source(part), work)

    def passes(self, call: Call) -> bool:
        """Fast pre-check: whether no rule can find anything in the request, as in most calls."""
        if self._looks is None:
            return False
        request = call.request
        for message in request.messages:
            content = message.content
            if not isinstance(content, str) or self._may_hold(content, self._looks):
                return False
        for value in request.parameters.values():
            if value.__class__ not in _PLAIN:
                return request.provider == "function"
        return True

    @staticmethod
    def _may_hold(text: str, looks: Iterable[Callable[[str], bool]]) -> bool:
        try:
            for look in looks:
                if look(text):
                    return True
        except Exception:  # noqa: BLE001 - the full check names the rule
            return True
        return False

    def review(self, call: Call) -> Review:
        """Validate all text that is sent: messages, their text parts, and texts in parameters."""
        request, options = call.request, call.options
        taken = [item.text for item in request.messages] if self._reversible else ()
        work = _Work(Placeholders(call.placeholders, taken))
        values = options.values if call.values is None else call.values
        filled_part: Part = "values" if options.batch_id is None else "rows"
        of_program = Source("typed", values or (), filled_part)
        of_caller = of_program if values is not None else Source(filled_part)
        messages = []
        for place, message in enumerate(request.messages):
            work.message = place
            source = of_program if message.role in _WRITTEN_BY_PROGRAM else of_caller
            messages.append(self._look_at_message(message, source, work))
        work.message = None
        parameters = request.parameters
        # A user's function receives its arguments unchanged: only its prompt goes to a model.
        plain = request.provider == "function" or _PLAIN.issuperset(map(type, parameters.values()))
        if not plain:
            parameters = self._look_at_value(parameters, Source("typed"), work)
        if not work.findings:
            return Review(request=request)
        if work.changed:
            request = dataclasses.replace(request, messages=tuple(messages), parameters=parameters)
        return Review(
            request=request,
            findings=tuple(work.findings),
            notes=tuple(notes(self.rules, work.findings)),
            refusal=refusal(work.findings),
            placeholders=work.placeholders.texts,
        )

    def review_reply(self, text: str) -> tuple[str, list[Finding]]:
        """The reply's text after redaction, and the findings."""
        if not self._of_part["reply"]:
            return text, []
        work = _Work(Placeholders({}, ()))
        return self._look(text, Source("reply"), work), work.findings

    def _look_at_message(self, message: Message, source: Source, work: _Work) -> Message:
        content = message.content
        if isinstance(content, str):
            text = self._look(content, source, work)
            return message if text is content else Message(message.role, text)
        parts = [self._look_at_part(part, source, work) for part in content]
        return Message(message.role, parts) if work.changed else message

    def _look_at_part(self, part: Mapping[str, Any], source: Source, work: _Work) -> Mapping[str, Any]:
        """Validate a content part: its text by every rule, the rest (an image URL, …) for own keys only.

        A URL may contain a signature with which the provider fetches it; the signature looks like a secret.
        """
        looked = {
            name: self._look(value, source, work)
            if name == "text" and part.get("type") == "text" and isinstance(value, str)
            else self._without_own_keys(value, source, work)
            for name, value in part.items()
        }
        return looked if any(looked[name] is not part[name] for name in looked) else part

    def _without_own_keys(self, value: Any, source: Source, work: _Work) -> Any:
        rules = [] if self._own_keys is None else [self._own_keys]
        return _mapped(value, lambda text: self._apply(rules, text, source, work))

    def _look_at_value(self, value: Any, source: Source, work: _Work) -> Any:
        """A parameter with its texts validated; the same object when nothing changes."""
        return _mapped(value, lambda text: self._look(text, source, work))

    def _look(self, text: str, source: Source, work: _Work) -> str:
        return self._apply(self._sent if source.filled else self._of_part[source.part], text, source, work)

    @staticmethod
    def _apply(rules: Iterable[Rule], text: str, source: Source, work: _Work) -> str:
        for rule in rules:
            places = source.places(rule, text)
            if not places:
                continue
            work.note(rule, places, text, source)
            if rule.action == "redact":
                work.changed = True
                write = work.writer(rule)
                text, source = replace_places(text, places, write), source.redacted(rule, write)
        return text


def rules_of(options: Validation) -> list[Rule]:
    """The rules that the options select, in order."""
    chosen = list(DEFAULT_RULES)
    if options.preset == "strict" or options.personal_data or options.injection:
        chosen += _optional(options)
    # Replaced at the same position, which keeps the order.
    named = {rule.name: rule for rule in (*chosen, *options.rules)}
    return with_actions(named.values(), options.actions)


def _optional(options: Validation) -> list[Rule]:
    # Imported here: their patterns take time to compile, and most sessions do not use them.
    from ainb.pipeline.validation import optional_rules

    rules: list[Rule] = []
    if options.preset == "strict":
        rules += optional_rules.STRICT_RULES
    if options.personal_data:
        rules += optional_rules.PERSONAL_RULES
    if options.injection:
        rules.append(optional_rules.STEERING_RULE)
    return rules


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    """A value with its texts changed, keys of mappings included; the same object when nothing changes."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        named = [(_mapped(name, change), _mapped(item, change)) for name, item in value.items()]
        pairs = zip(named, value.items(), strict=True)
        if all(new is old for after, before in pairs for new, old in zip(after, before, strict=True)):
            return value
        return _with_distinct_names(named)
    if isinstance(value, list | tuple):
        items = [_mapped(item, change) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    return value


def _with_distinct_names(named: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    """A mapping of these pairs; names that have become equal get a number appended."""
    made: dict[Any, Any] = {}
    for name, item in named:
        distinct, number = name, 2
        while distinct in made:
            distinct, number = f"{name} {number}", number + 1
        made[distinct] = item
    return made


class _Work:
    """State of one review: findings, placeholders, current message."""

    def __init__(self, placeholders: Placeholders) -> None:
        self.findings: list[Finding] = []
        self.placeholders = placeholders
        self.message: int | None = None
        self.changed = False

    def note(self, rule: Rule, places: list[Place], text: str, source: Source) -> None:
        inside = Stretches(text, source.filled)
        for start, end, kind in places:
            part = source.filled_part if inside.touch(start, end) else source.part
            self.findings.append(Finding(rule.name, kind, rule.action, part, start, end, self.message))

    def writer(self, rule: Rule) -> Callable[[str, str], str]:
        """The function that returns the replacement of a redacted text for its kind and itself."""
        if rule.reversible:
            return self.placeholders
        return lambda kind, _text: rule.replacement.replace("{kind}", kind)
