"""Downloads a GGUF file of the Hugging Face hub: looks it up, resumes a partial download, checks the sha256.

Source: huggingface_hub, ``get_hf_file_metadata``: size and sha256 of a large file are headers of the hub's
own response, which redirects to a signed URL of a storage host; the token is sent to the hub alone.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import http.client
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from ainb.errors import AinbError, ConfigError
from ainb.providers.local.hub_http import Answer, asked, check, endpoint, opened
from ainb.stores.files import make_folders, try_lock

PREFIX: Final = "hf:"
MAX_TRIES: Final = 5
CHUNK_BYTES: Final = 1 << 20
MAX_LISTED: Final = 12
SUFFIX: Final = ".gguf"
_PARTIAL = 206
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf", re.IGNORECASE)

Report = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class HubFile:
    """A model file on the hub.

    Attributes:
        repository: ``OWNER/REPO``.
        path: Path of the file in the repository.
        revision: Commit of the repository.
        size_bytes: Size of the file.
        sha256: Digest of the file, lower-case hexadecimal.
        licence: Licence that the repository states, or None.
    """

    repository: str
    path: str
    revision: str
    size_bytes: int
    sha256: str
    licence: str | None

    @property
    def filename(self) -> str:
        """Name of the file in the folder of models."""
        return self.path.rpartition("/")[2]

    @property
    def name(self) -> str:
        """Name of the model, as in ``local:NAME``."""
        return self.filename[: -len(SUFFIX)]

    @property
    def summary(self) -> str:
        """One line for the confirmation: file, size, licence, repository."""
        licence = self.licence or "not stated"
        return f"{self.filename}: {size_text(self.size_bytes)}, licence {licence}, from {self.repository}"


def size_text(count: int) -> str:
    """A number of bytes with a unit: ``98 MB``, ``1.1 GB``."""
    return f"{count / 10**9:.1f} GB" if count >= 10**9 else f"{max(1, round(count / 10**6))} MB"


def look_up(reference: str) -> HubFile:
    """Look up ``hf:OWNER/REPO/FILE.gguf`` on the hub; blocks.

    Raises:
        ConfigError: The reference is not of this form, or there is no such file; the message lists the files.
        AinbError: The hub cannot be reached, or requires a token.
    """
    repository, path = _parts(reference)
    if not path:
        raise ConfigError(f"{reference} names no file; {_listed(repository)}")
    if _SPLIT.search(path):
        raise ConfigError(f"{path} is one part of a model in several files; choose a model in one file")
    address = f"{endpoint()}/{repository}/resolve/main/{quote(path)}"
    with opened(address, method="HEAD", follow_storage=False) as answer:
        if answer.status == http.client.NOT_FOUND:
            raise ConfigError(f"there is no file {path} in {repository}; {_listed(repository)}")
        check(answer, repository)
        headers = answer.headers
        digest = (headers.get("X-Linked-ETag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
        size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
        revision = headers.get("X-Repo-Commit") or "main"
    if not _SHA256.fullmatch(digest) or not size.isdecimal():
        raise AinbError(
            f"the hub gives no size and sha256 for {path}, so it cannot be checked; choose another file"
        )
    return HubFile(
        repository=repository,
        path=path,
        revision=revision if _PART.fullmatch(revision) else "main",
        size_bytes=int(size),
        sha256=digest,
        licence=_licence(repository),
    )


def fetch(file: HubFile, folder: Path, *, report: Report) -> Path:
    """Download to `folder`, check and rename into place; blocks. A partial download is continued.

    Args:
        file: What to fetch.
        folder: Folder of models; it is created.
        report: Called with bytes done and bytes in all.

    Raises:
        ConfigError: Another file has this name.
        AinbError: The network failed (the partial download is kept), the disk is full, or the digest differs.
    """
    target = folder / file.filename
    if target.exists():
        if target.stat().st_size == file.size_bytes and _digest(target) == file.sha256:
            return target
        raise ConfigError(f"{target} is another file; rename or remove it, then pull again")
    partial = folder / f".{file.sha256[:16]}.part"
    try:
        make_folders(folder)
        with partial.open("ab") as held:
            if not try_lock(held.fileno()):
                raise AinbError(f"{file.filename} is being pulled by another process; wait for it")
            _check_room(file, folder, partial)
            _download(file, partial, report)
            partial.replace(target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise AinbError(_no_room(file, folder)) from error
        raise AinbError(
            f"{file.filename} cannot be kept in {folder} ({error.strerror or error}); set "
            "AINB_MODEL_DIR to a folder you may write to"
        ) from error
    return target


def _parts(reference: str) -> tuple[str, str]:
    owner, _, rest = reference.removeprefix(PREFIX).strip("/").partition("/")
    repository, _, path = rest.partition("/")
    pieces = [owner, repository, *(path.split("/") if path else ())]
    if not rest or not all(map(_PART.fullmatch, pieces)) or (path and not path.lower().endswith(SUFFIX)):
        raise ConfigError(
            f"a file of the hub is written hf:OWNER/REPO/FILE.gguf, such as {EXAMPLE}; "
            f"it is {reference[:200]!r}"
        )
    return f"{owner}/{repository}", path


EXAMPLE: Final = "hf:Qwen/Qwen2.5-1.5B-Instruct-GGUF/qwen2.5-1.5b-instruct-q4_k_m.gguf"


def _licence(repository: str) -> str | None:
    found = asked("", repository)
    card = found.get("cardData") if isinstance(found, dict) else None
    if not isinstance(card, dict):
        return None
    name = card.get("license_name") if card.get("license") == "other" else card.get("license")
    return re.sub(r"[^\w.+ -]", "", name)[:60] or None if isinstance(name, str) else None


def _listed(repository: str) -> str:
    """The files that can be pulled, for an error message."""
    found = asked("/tree/main?recursive=true", repository)
    items = found if isinstance(found, list) else []
    files = [
        (str(item.get("path")), item.get("size"))
        for item in items
        if isinstance(item, dict) and str(item.get("path", "")).lower().endswith(SUFFIX)
    ]
    usable = [(path, size) for path, size in files if not _SPLIT.search(path)]
    if not usable:
        return (
            f"{repository} holds no GGUF file in one piece; look for a repository whose name ends with GGUF"
        )
    named = [
        f"{path} ({size_text(size)})" if isinstance(size, int) else path for path, size in usable[:MAX_LISTED]
    ]
    more = f" and {len(usable) - MAX_LISTED} more" if len(usable) > MAX_LISTED else ""
    return f"there are {', '.join(named)}{more}"


def _check_room(file: HubFile, folder: Path, partial: Path) -> None:
    if shutil.disk_usage(folder).free < file.size_bytes - partial.stat().st_size:
        raise AinbError(_no_room(file, folder))


def _no_room(file: HubFile, folder: Path) -> str:
    return (
        f"no room for {file.filename}: it needs {size_text(file.size_bytes)} in {folder}; make room, or set "
        "AINB_MODEL_DIR"
    )


def _download(file: HubFile, partial: Path, report: Report) -> None:
    """Append the missing part to `partial`, and check the digest of the file."""
    address = f"{endpoint()}/{file.repository}/resolve/{file.revision}/{quote(file.path)}"
    for _ in range(MAX_TRIES):
        if partial.stat().st_size > file.size_bytes:
            os.truncate(partial, 0)
        with contextlib.suppress(_BrokenOffError):
            _append(file, address, partial, report)
        if partial.stat().st_size >= file.size_bytes:
            break
    size = partial.stat().st_size
    if size < file.size_bytes:
        raise AinbError(
            f"the download of {file.filename} broke off at {size_text(size)} of "
            f"{size_text(file.size_bytes)}; run %ai pull again: it continues from there"
        )
    if _digest(partial) != file.sha256:
        partial.unlink()
        raise AinbError(
            f"the download of {file.filename} is not the hub's file: its sha256 is not {file.sha256[:16]}…; "
            "nothing was kept; run %ai pull again"
        )


def _append(file: HubFile, address: str, partial: Path, report: Report) -> None:
    start = partial.stat().st_size
    if start >= file.size_bytes:
        return
    with opened(address, start=start) as answer:
        check(answer, file.repository)
        if answer.status != _PARTIAL:  # the server sends the file from the beginning
            os.truncate(partial, 0)
            start = 0
        elif not str(answer.headers.get("Content-Range", "")).startswith(f"bytes {start}-"):
            raise AinbError("the hub sent another part of the file than was asked for; run %ai pull again")
        with partial.open("ab") as out:
            while start < file.size_bytes and (chunk := _read(answer, file.size_bytes - start)):
                out.write(chunk)
                start += len(chunk)
                report(start, file.size_bytes)


class _BrokenOffError(Exception):
    """The connection ended before the end of the file."""


def _read(answer: Answer, left: int) -> bytes:
    try:
        return answer.read(min(CHUNK_BYTES, left))
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError from error


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
