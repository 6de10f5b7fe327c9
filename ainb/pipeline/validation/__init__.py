"""Validation: rules that allow, redact, warn about or block what prompts and replies contain.

`rules` defines what a rule and a finding are; `presets`, `optional_rules`, `characters`, `personal` and
`untrusted` are the shipped ones. `validator` applies the selected rules to texts and calls, `stage` uses it
in the pipeline, `findings` words the notes and errors. `key_filter` removes API keys from replies; `preview`
reviews a call without sending it.
"""
