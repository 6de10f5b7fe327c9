"""Tests of pictures as input: accepted types, refused ones, and stable bytes."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from ainb.errors import ConfigError
from ainb.prompts import images as pictures
from ainb.prompts.images import picture_part


def kind_and_bytes(part):
    head, _, data = part["image_url"]["url"].partition(";base64,")
    return head.removeprefix("data:"), base64.b64decode(data)


def opened(part):
    return Image.open(io.BytesIO(kind_and_bytes(part)[1]))


def test_a_file_is_sent_unchanged(tmp_path):
    path = tmp_path / "a.jpg"
    Image.new("RGB", (4, 3), "red").save(path)

    kind, data = kind_and_bytes(picture_part(str(path), "a.jpg"))

    assert (kind, data) == ("image/jpeg", path.read_bytes())


def test_a_format_that_some_providers_refuse_becomes_png(tmp_path):
    path = tmp_path / "a.bmp"
    Image.new("RGB", (4, 3), "red").save(path)

    part = picture_part(path, "a.bmp")

    assert kind_and_bytes(part)[0] == "image/png"
    assert opened(part).getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "1", "P", "CMYK", "F"])
def test_pil_images_of_every_mode_are_taken(mode):
    assert opened(picture_part(Image.new(mode, (4, 3)), "x")).size == (4, 3)


@pytest.mark.parametrize(
    ("array", "pixel"),
    [
        (np.full((2, 3), 128, "uint8"), 128),
        (np.full((2, 3), 0.5), 128),
        (np.full((2, 3, 1), 300), 255),
        (np.full((2, 3, 3), True), (255, 255, 255)),
        (np.full((2, 3, 4), -1.0), (0, 0, 0, 0)),
        (np.full((2, 3), np.nan), 0),
    ],
)
def test_arrays_are_pictures(array, pixel):
    picture = opened(picture_part(array, "x"))

    assert picture.size == (3, 2)
    assert picture.getpixel((0, 0)) == pixel


def test_a_figure_and_its_axes_give_the_same_bytes_each_time():
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    axes = figure.add_subplot()
    axes.plot([1, 2])

    parts = [picture_part(item, "fig") for item in (figure, figure, axes)]

    assert parts[0] == parts[1] == parts[2]
    assert b"matplotlib" not in kind_and_bytes(parts[0])[1].lower()


def test_whatever_shows_itself_as_png_is_taken():
    class Shown:
        def _repr_png_(self):
            buffer = io.BytesIO()
            Image.new("RGB", (5, 5)).save(buffer, format="PNG")
            return buffer.getvalue()

    assert opened(picture_part(Shown(), "x")).size == (5, 5)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("nowhere.png", "cannot be read"),
        (b"not a picture", "not a picture that can be read"),
        (b"", "not a picture that can be read"),
        (3, "is not a picture but int"),
        (np.zeros((2, 2, 7)), r"has the shape \(2, 2, 7\)"),
        (np.array([["a"]]), "holds <U1 and is not a picture"),
        (np.zeros((0, 2)), "is not a picture"),
    ],
)
def test_what_is_no_picture_is_said_on_one_line(value, said):
    with pytest.raises(ConfigError, match=said) as caught:
        picture_part(value, "x")
    assert "\n" not in str(caught.value)


def test_a_picture_that_is_too_large_is_refused_with_its_size(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match=r"9000 x 10 pixels, more than 8,000 on a side"):
        picture_part(np.zeros((10, 9000)), "x")
    noise = np.random.default_rng(0).integers(0, 255, (1800, 1800, 3), dtype="uint8")
    with pytest.raises(ConfigError, match=r"takes 9\.\d MB, more than 5 MB"):
        picture_part(noise, "x")
    path = tmp_path / "a.png"
    path.write_bytes(b"x" * 100)
    monkeypatch.setattr(pictures, "MAX_BYTES", 20)
    with pytest.raises(ConfigError, match="more than"):
        picture_part(path, "a.png")
