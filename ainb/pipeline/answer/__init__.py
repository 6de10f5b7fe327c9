"""Answer check: validates a reply against the requested schema and repeats the request once if it fails.

`schema` reads the forms in which a schema may be given; `stage` checks replies against it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ainb.lazy import lazy_exports

if TYPE_CHECKING:
    from ainb.pipeline.answer.finding import find_value, visible
    from ainb.pipeline.answer.inline import is_inline
    from ainb.pipeline.answer.schema import Schema, is_schema_class, is_schema_type, read_schema, resolve
    from ainb.pipeline.answer.stage import AnswerStage, check_again
else:
    __getattr__ = lazy_exports(
        __name__,
        finding="find_value visible",
        inline="is_inline",
        schema="Schema is_schema_class is_schema_type read_schema resolve",
        stage="AnswerStage check_again",
    )

__all__ = [
    "AnswerStage",
    "Schema",
    "check_again",
    "find_value",
    "is_inline",
    "is_schema_class",
    "is_schema_type",
    "read_schema",
    "resolve",
    "visible",
]
