"""Images as input: files or objects of the notebook, checked and encoded as parts of messages."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

from ainb.errors import ConfigError

MAX_BYTES = 5 * 1000 * 1000
MAX_SIDE = 8_000
KINDS = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff")
_DPI = 100
_CHANNELS = (1, 3, 4)


def picture_part(value: Any, name: str) -> dict[str, Any]:
    """Encode a picture as a content part of the OpenAI protocol, which other adapters translate.

    The same picture gives the same part, so that the cache key depends on its content.

    Args:
        value: Path, bytes, PIL image, matplotlib figure or axes, array of shape (h, w), (h, w, 1), (h, w, 3)
            or (h, w, 4), or any other object that a notebook displays as PNG. Integers are 0 to 255,
            other numbers 0 to 1.
        name: Its name in messages.

    Raises:
        ConfigError: It is not a picture, cannot be read, or is too large.
    """
    kind, data = _encode(value, name)
    if len(data) > MAX_BYTES:
        raise ConfigError(
            f"the picture {name} takes {len(data) / 1e6:.1f} MB, more than {MAX_BYTES // 10**6} MB; "
            "make it smaller or save it as JPEG"
        )
    url = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return {"type": "image_url", "image_url": {"url": url}}


def _encode(value: Any, name: str) -> tuple[str, bytes]:
    """Kind and bytes, in a format that every provider accepts."""
    if isinstance(value, str | Path):
        value = _read_file(Path(value).expanduser(), name)
    if isinstance(value, bytes | bytearray):
        return _check_bytes(bytes(value), name)
    if hasattr(value, "savefig") or hasattr(getattr(value, "figure", None), "savefig"):
        return "image/png", _draw(value if hasattr(value, "savefig") else value.figure)
    if hasattr(value, "__array_interface__") and hasattr(value, "shape"):
        return _save(_from_array(value, name), name)
    if hasattr(value, "save") and hasattr(value, "mode"):
        return _save(value, name)
    shown = value._repr_png_() if hasattr(value, "_repr_png_") else None
    if isinstance(shown, str):
        shown = base64.b64decode(shown)
    if isinstance(shown, bytes):
        return _check_bytes(shown, name)
    raise ConfigError(
        f"{name} is not a picture but {type(value).__name__}; "
        "give a file, a PIL image, a matplotlib figure or an array of numbers"
    )


def _read_file(path: Path, name: str) -> bytes:
    try:
        if path.stat().st_size > 4 * MAX_BYTES:  # too large to read at all
            raise ConfigError(
                f"the picture {name} takes {path.stat().st_size / 1e6:.1f} MB, "
                f"more than {MAX_BYTES // 10**6} MB; make it smaller"
            )
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"the picture {name} cannot be read ({error.strerror}); give a file or a name of the notebook"
        ) from None


def _check_bytes(data: bytes, name: str) -> tuple[str, bytes]:
    """The bytes unchanged if every provider accepts their format, else converted to PNG."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(data)) as picture:
            _check_sides(picture.size, name)
            kind = KINDS.get(picture.format or "")
            return (kind, data) if kind else _save(picture, name)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        raise ConfigError(
            f"{name} is not a picture that can be read; give a PNG, JPEG, GIF or WebP"
        ) from None


def _save(picture: Any, name: str) -> tuple[str, bytes]:
    _check_sides(picture.size, name)
    buffer = io.BytesIO()
    plain = picture if picture.mode in {"L", "RGB", "RGBA", "P", "1", "LA"} else picture.convert("RGB")
    plain.save(buffer, format="PNG")
    return "image/png", buffer.getvalue()


def _draw(figure: Any) -> bytes:
    buffer = io.BytesIO()
    # Without the version of matplotlib in the file, which must not change the cache key.
    figure.savefig(buffer, format="png", dpi=_DPI, bbox_inches="tight", metadata={"Software": None})
    return buffer.getvalue()


def _from_array(value: Any, name: str) -> Any:
    import numpy as np
    from PIL import Image

    array = np.asarray(value)
    flat = array.ndim == 2  # noqa: PLR2004 - height and width
    if not flat and not (array.ndim == 3 and array.shape[2] in _CHANNELS):  # noqa: PLR2004 - and colours
        raise ConfigError(
            f"{name} has the shape {array.shape}; a picture is (height, width) or (height, width, 1, 3 or 4)"
        )
    if array.dtype.kind not in "uifb" or not array.size:
        raise ConfigError(f"{name} holds {array.dtype} and is not a picture; it takes numbers")
    if not flat and array.shape[2] == 1:
        array = array[:, :, 0]
    scaled = array if array.dtype.kind in "ui" else np.nan_to_num(array.astype(float)) * 255
    return Image.fromarray(np.clip(np.rint(scaled), 0, 255).astype("uint8"))


def _check_sides(size: tuple[int, int], name: str) -> None:
    if max(size) > MAX_SIDE:
        raise ConfigError(
            f"the picture {name} is {size[0]} x {size[1]} pixels, "
            f"more than {MAX_SIDE:,} on a side; make it smaller"
        )
