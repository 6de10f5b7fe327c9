"""Origin of a call: file name of the notebook, and the front end's id of the cell."""

from __future__ import annotations

import os
import re
from typing import Any

_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


def origin(ipython: Any) -> tuple[str | None, str | None]:
    """Notebook and cell of the code that runs; None where the front end does not send them.

    Source: jupyter_server sets JPY_SESSION_NAME for the kernels it starts, VS Code sets the variable
    __vsc_ipynb_file__. Only these two send a cell's id, as `cellId` in the metadata of the request.
    """
    return notebook_name(ipython), cell_id(ipython)


def notebook_name(ipython: Any) -> str | None:
    """File name of the notebook without folders: ``AINB_NOTEBOOK``, else the name that the front end sets.

    VS Code is checked first, because on a Jupyter server it uses generated names.
    """
    path = (
        os.environ.get("AINB_NOTEBOOK")
        or ipython.user_ns.get("__vsc_ipynb_file__")
        or os.environ.get("JPY_SESSION_NAME")
    )
    return _FOLDERS.sub("", str(path)) or None if path else None


def cell_id(ipython: Any) -> str | None:
    """The front end's id of the cell that runs, or None outside a kernel."""
    parent = ipython.get_parent() if hasattr(ipython, "get_parent") else None
    found = ((parent or {}).get("metadata") or {}).get("cellId")
    return str(found) if found else None
