"""Startup module of every Python process of the tests: disables a slow optional import.

On import, jsonschema (imported by nbformat) builds about forty grammars of internationalised addresses with
rfc3987_syntax: 1.8 s of CPU for a format that no notebook uses. Without that package it skips the format.
"""

import sys

sys.modules["rfc3987_syntax"] = None
