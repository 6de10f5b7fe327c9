"""Options of validation: the rules that apply, and their actions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

from ainb.errors import ConfigError
from ainb.pipeline.checks import check_flag
from ainb.pipeline.validation.rules import Action, Rule, check_action

Preset = Literal["default", "strict"]
PRESETS: tuple[Preset, ...] = get_args(Preset)


@dataclass(frozen=True, kw_only=True)
class Validation:
    """Options of validation: rules for prompts before they are sent, and their actions.

    Attributes:
        preset: "default" redacts secrets and unprintable characters; "strict" also blocks code, markup and
            more than 10,000 characters, in texts that the user did not type.
        rules: Further rules; a rule with the name of a shipped one replaces it.
        actions: Actions by rule name, such as ``{"secret": "block"}``, that replace the rules' own.
        personal_data: Whether e-mail addresses, phone numbers, IBANs, card numbers and US social security
            numbers are replaced by placeholders such as ``<EMAIL_1>``.
        put_back: Whether placeholders in the reply are replaced by the original texts; such replies are not
            streamed.
        injection: Whether filled-in values and rows are searched for phrases that try to steer the model;
            heuristic, only warns.
        context: Whether a prompt longer than the model's context window, where that is known, is refused
            before it is sent.

    Raises:
        ConfigError: A value is not valid.
    """

    preset: Preset = "default"
    rules: tuple[Rule, ...] = ()
    actions: Mapping[str, Action] = field(default_factory=dict)
    personal_data: bool = False
    put_back: bool = False
    injection: bool = False
    context: bool = True

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"Validation.preset must be one of {', '.join(PRESETS)}; it is {self.preset!r}")
        for name in ("personal_data", "put_back", "injection", "context"):
            check_flag(f"Validation.{name}", getattr(self, name))
        object.__setattr__(self, "rules", _read_rules(self.rules))
        if not isinstance(self.actions, Mapping):
            raise ConfigError(
                f"Validation.actions must be a table of rule and action; it is {self.actions!r}"
            )
        if self.actions:
            self._check_actions()

    def _check_actions(self) -> None:
        # Imported here: loading the shipped rules takes time, and options are created with the extension.
        from ainb.pipeline.validation.presets import shipped_names

        known = {*shipped_names(), *(rule.name for rule in self.rules)}
        for name, action in self.actions.items():
            if name not in known:
                raise ConfigError(
                    f"there is no validation rule {name!r}; rules are: {', '.join(sorted(known))}"
                )
            check_action(f"the action of the rule {name!r}", action)


def parse_validation(text: str) -> Validation:
    """Read the short form of the options: the name of a preset."""
    return Validation(preset=cast(Preset, text))  # checked there


def _read_rules(rules: object) -> tuple[Rule, ...]:
    if not isinstance(rules, list | tuple) or not all(isinstance(rule, Rule) for rule in rules):
        raise ConfigError(f"Validation.rules must be a list of ainb.Rule objects; it is {rules!r}")
    return tuple(rules)
