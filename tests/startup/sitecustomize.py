"""Read by every Python that the tests start.

jsonschema, which nbformat imports, builds some forty grammars of internationalised addresses when it is
imported: 1.8 s of CPU for a format that no notebook uses. Without the package it leaves that format out.
"""

import sys

sys.modules["rfc3987_syntax"] = None
