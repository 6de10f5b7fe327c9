"""Validation: rules that allow, redact, warn about or block what prompts and replies contain.

`rules` defines what a rule and a finding are; `presets`, `optional_rules`, `characters`, `personal` and
`untrusted` define the shipped ones. `validator` applies the selected rules to texts and calls, `filled` to
texts that were partly filled in; `stage` uses it in the pipeline, `findings` formats the notes and errors.
`key_filter` removes API keys from replies; `preview` reviews a call without sending it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.validation.key_filter import OwnKeyStage
    from ainb.pipeline.validation.options import Validation, parse_validation
    from ainb.pipeline.validation.preview import Preview, preview_call
    from ainb.pipeline.validation.rules import Finding, Rule
    from ainb.pipeline.validation.stage import ValidationStage, validate
    from ainb.pipeline.validation.untrusted import sanitize
    from ainb.pipeline.validation.validator import Validator
else:
    __getattr__ = lazy_exports(
        __name__,
        key_filter="OwnKeyStage",
        options="Validation parse_validation",
        preview="Preview preview_call",
        rules="Finding Rule",
        stage="ValidationStage validate",
        untrusted="sanitize",
        validator="Validator",
    )

__all__ = [
    "Finding",
    "OwnKeyStage",
    "Preview",
    "Rule",
    "Validation",
    "ValidationStage",
    "Validator",
    "parse_validation",
    "preview_call",
    "sanitize",
    "validate",
]
