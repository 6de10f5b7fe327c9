"""Redaction: secrets found and replaced by ``[redacted NAME]``.

`filter` finds and redacts. `tokens` holds the token formats, `assignments` what a name, a header or a URL
tells; `split_keys` finds the user's own keys where they are split or encoded.
"""
