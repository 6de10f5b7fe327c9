"""Answer check: validates a reply against the requested schema and asks once more when it does not match.

`schema` reads the shapes a schema may be given in; `stage` checks replies against it.
"""
