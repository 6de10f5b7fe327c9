"""Model files for llama.cpp: the folder, look-up by name or path, and pulling."""

from __future__ import annotations

import contextlib
import difflib
import functools
import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from ainb.errors import ConfigError
from ainb.providers.local.catalogue import PULLABLE, Weights

if TYPE_CHECKING:
    from ainb.providers.local.download import Progress
    from ainb.providers.local.hub import HubFile

MAGIC = b"GGUF"
SAMPLE_BYTES = 1 << 16


def folder() -> Path:
    """The folder of pulled models: ``AINB_MODEL_DIR``, else in the user's cache folder; not created here."""
    chosen = os.environ.get("AINB_MODEL_DIR")
    if chosen:
        return _expanded(chosen)
    import platformdirs

    return platformdirs.user_cache_path("ainb") / "models"


def pulled() -> list[str]:
    """Names that ``local:NAME`` accepts now: pulled models, then other GGUF files in the folder of models."""
    names = [name for name, weights in PULLABLE.items() if is_pulled(name)]
    known = {weights.filename for weights in PULLABLE.values()}
    with contextlib.suppress(OSError):
        names += sorted(path.stem for path in folder().glob("*.gguf") if path.name not in known)
    return names


def is_pulled(name: str) -> bool:
    """Whether the complete file of a pullable model is in the folder; costs one stat."""
    weights = PULLABLE.get(name)
    if weights is None:
        return False
    try:
        return (folder() / weights.filename).stat().st_size == weights.size_bytes
    except OSError:
        return False


def find(name_or_path: str) -> Path:
    """The model file that ``local:NAME`` or ``local:PATH`` means.

    Args:
        name_or_path: A pulled model, the name of a GGUF file in the folder of models, or a path (``~`` is the
            home folder).

    Raises:
        ConfigError: There is no such file, it is not a GGUF file, or the name is unknown; the message lists
            the existing ones.
    """
    if name_or_path in PULLABLE:
        if not is_pulled(name_or_path):
            raise ConfigError(_not_pulled(PULLABLE[name_or_path]))
        return folder() / PULLABLE[name_or_path].filename
    path = _place(name_or_path)
    if path is None:
        raise ConfigError(f"there is no local model {name_or_path!r}; {_known(name_or_path)}")
    _check_magic(path, name_or_path)
    return path


def identity(name_or_path: str) -> str:
    """Identity of a model's weights, independent of the file's folder.

    A pullable model is identified by its digest, so that a recorded answer is found on a machine without the
    model; any other file by name, size and a digest of its beginning, middle and end. Never raises.
    """
    weights = PULLABLE.get(name_or_path)
    if weights is not None:
        return f"{name_or_path}-{weights.sha256[:16]}"
    with contextlib.suppress(OSError):
        if (path := _place(name_or_path)) is not None:
            status = path.stat()
            return _sampled_identity(path, status.st_size, status.st_mtime_ns)
    return Path(name_or_path).name


def pull(name: str, *, progress: Progress | None = None) -> Path:
    """Download a model file unless it is there already; blocks. Several processes may call it at once.

    Args:
        name: A name in `PULLABLE`.
        progress: Called with bytes done and bytes in all (None when unknown), for download and unpacking
            together.

    Returns:
        Path of the file.

    Raises:
        ConfigError: The name is unknown, or pip is missing.
        AinbError: No network, no disk space, or a corrupt download; nothing is left behind.
    """
    weights = PULLABLE.get(name)
    if weights is None:
        raise ConfigError(f"{name!r} cannot be pulled; {_known(name)}")
    target = folder() / weights.filename
    if is_pulled(name):
        return target
    from ainb.providers.local import download

    # Another process may have pulled the same bytes meanwhile; on Windows our rename may then fail.
    download.fetch(weights, target, report=progress or _ignore_progress, is_there=lambda: is_pulled(name))
    return target


def pull_from_hub(file: HubFile, *, progress: Progress | None = None) -> Path:
    """Download a file of the hub into the folder of models; blocks.

    Args:
        file: Result of `ainb.providers.local.look_up`.
        progress: As for `pull`.

    Raises:
        ConfigError: Another file has this name.
        AinbError: The network failed (the partial download is kept), the disk is full, or the digest differs.
    """
    from ainb.providers.local import hub

    return hub.fetch(file, folder(), report=progress or _ignore_progress)


def _ignore_progress(_done: int, _total: int | None) -> None:
    pass


def _place(name_or_path: str) -> Path | None:
    """The file at this path, else the file of that name in the folder of models, else None."""
    for path in (_expanded(name_or_path), folder() / name_or_path, folder() / f"{name_or_path}.gguf"):
        with contextlib.suppress(OSError, ValueError):
            if path.is_file():
                return path.absolute()
    return None


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:  # ~NAME of a user that does not exist
        return Path(text)


def _check_magic(path: Path, shown: str) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(MAGIC))
    except OSError as error:
        raise ConfigError(
            f"the model file {shown!r} cannot be read ({error.strerror}); fix its permissions"
        ) from None
    if start != MAGIC:
        raise ConfigError(
            f"{shown!r} is not a GGUF file (it does not start with GGUF); give a model in llama.cpp's format"
        )


@functools.lru_cache(maxsize=64)
def _sampled_identity(path: Path, size: int, _modified: int) -> str:
    digest = hashlib.sha256(str(size).encode())
    with path.open("rb") as file:
        for start in (0, size // 2, max(0, size - SAMPLE_BYTES)):
            file.seek(start)
            digest.update(file.read(SAMPLE_BYTES))
    return f"{path.name}-{digest.hexdigest()[:16]}"


def _known(name: str) -> str:
    names = pulled()
    near = difflib.get_close_matches(name, [*PULLABLE, *names], n=1, cutoff=0.6)
    if near:
        return f"did you mean {near[0]!r}?"
    here = f"on this machine: {', '.join(names)}" if names else "no model is on this machine yet"
    return (
        f"give the path of a GGUF file or a name; {here}; can be pulled (%ai pull NAME): "
        f"{', '.join(PULLABLE)}"
    )


def _not_pulled(weights: Weights) -> str:
    size = weights.size_bytes // 10**6
    return (
        f"the model {weights.name!r} is not on this machine; fetch it once ({size} MB) with %ai pull "
        f"{weights.name}"
    )
