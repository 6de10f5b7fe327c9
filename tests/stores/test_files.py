"""Tests of file replacement: mode, content, and no trace of a failure."""

from __future__ import annotations

import os
import stat

import pytest

from ainb.stores.files import replacement_file


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644, 0o664])
def test_a_replacement_is_never_more_open_than_the_file(tmp_path, monkeypatch, mode):
    path = tmp_path / "settings.toml"
    path.write_bytes(b"old")
    path.chmod(mode)
    while_written = []
    monkeypatch.setattr("ainb.stores.files.os.fsync", lambda handle: while_written.append(os.fstat(handle)))

    with replacement_file(path, b"new") as replacement:
        replacement.replace(path)

    (written,) = while_written
    assert stat.S_IMODE(written.st_mode) & ~mode == 0
    assert (path.read_bytes(), mode_of(path)) == (b"new", mode)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name != "posix", reason="modes of POSIX")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600)])
def test_a_new_file_has_the_mode_of_the_umask(tmp_path, umask, mode):
    path = tmp_path / "new.toml"
    before = os.umask(umask)
    try:
        with replacement_file(path, b"new") as replacement:
            replacement.replace(path)
    finally:
        os.umask(before)

    assert mode_of(path) == mode


def test_a_replacement_that_is_not_used_is_removed(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_bytes(b"old")

    with pytest.raises(OSError, match="no room"), replacement_file(path, b"new"):
        raise OSError("no room")

    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
