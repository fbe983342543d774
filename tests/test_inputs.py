"""Batches from noise, folders, archives and sequences; every unusable source says so in one line."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from micronas.inputs import Gaussian, Images, InputError

CHANCE = np.random.default_rng(0)
PIXELS = CHANCE.integers(0, 256, (40, 10, 12, 3), dtype=np.uint8)


def folder(path: Path, ending: str = "png") -> Path:
    for at, pixels in enumerate(PIXELS):
        target = path / f"class{at % 3}" / f"{at}.{ending}"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(target)
    return path


class TestGaussian:
    def test_shape_and_seed(self):
        batch = Gaussian().batch((8, 6, 3), 5, seed=1)
        assert batch.shape == (5, 3, 8, 6)
        assert (batch == Gaussian().batch((8, 6, 3), 5, seed=1)).all()
        assert (batch != Gaussian().batch((8, 6, 3), 5, seed=2)).all()
        assert np.abs(Gaussian().patches((3, 3, 1), 3000, 0).mean()) < 0.05


class TestFolder:
    @pytest.mark.parametrize("ending", ["png", "jpg"])
    def test_batch_is_normalised_and_repeats(self, tmp_path: Path, ending: str):
        images = Images(folder(tmp_path, ending))
        batch = images.batch((10, 12, 3), 32, seed=1)
        assert batch.shape == (32, 3, 10, 12)
        np.testing.assert_allclose(batch.mean((0, 2, 3)), 0, atol=1e-12)
        np.testing.assert_allclose(batch.std((0, 2, 3)), 1)
        assert (batch == Images(str(tmp_path)).batch((10, 12, 3), 32, seed=1)).all()
        assert (batch != images.batch((10, 12, 3), 32, seed=2)).any()

    def test_pixels_are_those_of_the_files(self, tmp_path: Path):
        batch = Images(folder(tmp_path)).batch((10, 12, 3), 40, seed=0)
        raw = PIXELS.transpose(0, 3, 1, 2) / 255
        expected = (raw - raw.mean((0, 2, 3), keepdims=True)) / raw.std((0, 2, 3), keepdims=True)
        np.testing.assert_allclose(np.sort(batch, axis=0), np.sort(expected, axis=0), atol=1e-9)

    def test_resized(self, tmp_path: Path):
        assert Images(folder(tmp_path)).batch((32, 32, 3), 4, 0).shape == (4, 3, 32, 32)
        assert Images(folder(tmp_path)).batch((16, 16, 1), 4, 0).shape == (4, 1, 16, 16)

    def test_patches(self, tmp_path: Path):
        patches = Images(folder(tmp_path)).patches((3, 3, 1), 3000, 0)
        assert patches.shape == (3000, 1, 3, 3)
        assert len(np.unique(patches.reshape(3000, 9), axis=0)) > 1500
        assert patches.std() == pytest.approx(1)

    def test_only_what_is_needed_is_read(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        opened: list[object] = []
        real = Image.open
        monkeypatch.setattr(Image, "open", lambda path: opened.append(path) or real(path))
        Images(folder(tmp_path)).batch((10, 12, 3), 7, 0)
        assert len(opened) == 7

    def test_digests_follow_names_and_content_not_places_and_times(self, tmp_path: Path):
        """Of the pictures that are drawn: two folders of equal names, sizes and times may hold others."""
        one, copy = folder(tmp_path / "one"), tmp_path / "copy"
        shutil.copytree(one, copy, copy_function=shutil.copyfile)
        images = Images(one)
        digests = [images.batch_digest(7, seed) for seed in range(3)]
        assert len(set(digests)) == 3
        assert digests == [Images(copy).batch_digest(7, seed) for seed in range(3)]
        assert images.patches_digest((3, 3, 1), 9, 0) == Images(copy).patches_digest((3, 3, 1), 9, 0)
        drawn = images._drawn_whole(7, 0)
        changed = copy / Path(cast(Any, images.images).files[drawn[0]]).relative_to(one)
        before = changed.stat()
        changed.write_bytes(changed.read_bytes()[:-1] + b"x")
        os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert Images(copy).batch_digest(7, 0) != digests[0]
        changed.rename(changed.with_name("z.png"))
        assert Images(copy).batch_digest(7, 1) != digests[1]

    def test_cifar(self, shared: Path, tmp_path: Path):
        import tarfile

        with tarfile.open(shared / "data" / "cifar10" / "test.tar.gz") as archive:
            members = [member for _, member in zip(range(300), archive, strict=False)]
            archive.extractall(tmp_path, members=members, filter="data")
        assert Images(tmp_path).batch((32, 32, 3), 32, 0).shape == (32, 3, 32, 32)


class TestArchiveAndSequence:
    @pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
    def test_npz_equals_sequence(self, tmp_path: Path, save):
        path = tmp_path / "images.npz"
        save(path, labels=np.arange(40), images=PIXELS)
        expected = Images(list(PIXELS)).batch((10, 12, 3), 32, 3)
        assert (Images(path).batch((10, 12, 3), 32, 3) == expected).all()
        assert Images(path).batch_digest(9, 0) == Images(path).batch_digest(9, 0) != Images(path).batch_digest(9, 1)

    def test_items_may_be_pairs_planes_or_pictures(self):
        pairs = [(pixels, 1) for pixels in PIXELS]
        planes = [pixels.transpose(2, 0, 1) for pixels in PIXELS]
        pictures = [Image.fromarray(pixels) for pixels in PIXELS]
        batches = [Images(source).batch((10, 12, 3), 9, 0) for source in (pairs, planes, pictures)]
        assert (batches[0] == batches[1]).all()
        assert (batches[0] == batches[2]).all()

    def test_grey(self):
        assert Images(list(PIXELS[..., 0])).batch((10, 12, 3), 9, 0).shape == (9, 3, 10, 12)

    def test_digest_of_a_sequence_follows_its_content(self):
        one, same, other = (Images(list(pixels)).batch_digest(9, 0) for pixels in (PIXELS, PIXELS, PIXELS[::-1]))
        assert one == same != other


class TestUnusable:
    def test_absent(self, tmp_path: Path):
        with pytest.raises(InputError, match="neither a folder"):
            Images(tmp_path / "nowhere")

    def test_empty(self, tmp_path: Path):
        (tmp_path / "notes.txt").write_text("no image")
        with pytest.raises(InputError, match="holds no images"):
            Images(tmp_path)

    def test_too_few(self, tmp_path: Path):
        with pytest.raises(InputError, match="holds only 40 of the 41 images"):
            Images(folder(tmp_path)).batch((10, 12, 3), 41, 0)

    @pytest.mark.parametrize("content", [b"", b"no picture at all", b"\x89PNG\r\n\x1a\n\0\0\0\0"])
    def test_corrupt_image(self, tmp_path: Path, content: bytes):
        (tmp_path / "broken.png").write_bytes(content)
        with pytest.raises(InputError, match=r"cannot read the image .*broken\.png"):
            Images(tmp_path).batch((10, 12, 3), 1, 0)

    def test_truncated_image(self, tmp_path: Path):
        path = folder(tmp_path) / "class0" / "0.png"
        for each in tmp_path.rglob("*.png"):
            each.write_bytes(path.read_bytes()[:200])
        with pytest.raises(InputError, match="cannot read the image"):
            Images(tmp_path).batch((10, 12, 3), 1, 0)

    @pytest.mark.parametrize("content", [b"", b"PK no archive"])
    def test_bad_npz(self, tmp_path: Path, content: bytes):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(InputError, match="no readable"):
            Images(tmp_path / "bad.npz")

    def test_damaged_npz(self, tmp_path: Path):
        path = tmp_path / "damaged.npz"
        np.savez_compressed(path, images=PIXELS)
        content = bytearray(path.read_bytes())
        content[len(content) // 2 : len(content) // 2 + 200] = bytes(200)
        path.write_bytes(bytes(content))
        with pytest.raises(InputError, match=r"damaged|no readable"):
            Images(path).batch((10, 12, 3), 40, 0)

    def test_npz_without_images(self, tmp_path: Path):
        np.savez(tmp_path / "labels.npz", labels=np.arange(4))
        with pytest.raises(InputError, match="holds no array of images"):
            Images(tmp_path / "labels.npz")

    def test_patch_larger_than_the_image(self):
        with pytest.raises(InputError, match="smaller than 11x11"):
            Images(list(PIXELS)).patches((11, 11, 1), 5, 0)

    @pytest.mark.parametrize(
        "item", [np.zeros((4, 4, 7)), np.zeros(4), "text", np.full((4, 4, 3), np.nan), np.full((4, 4, 3), -1e308)]
    )
    def test_items_that_are_no_images(self, item: object):
        with pytest.raises(InputError, match="item 0"):
            Images([item]).batch((4, 4, 3), 1, 0)


GREY = np.arange(0, 240, 2, dtype=np.uint8).reshape(10, 12)
COLOURS = np.stack([GREY, GREY[::-1], GREY.T.reshape(10, 12)], axis=2)


def saved(tmp_path: Path, image: Image.Image, name: str = "one.png", **how: Any) -> np.ndarray:
    """What is read of a picture that Pillow wrote, scaled as it is used: (height, width, 1 or 3)."""
    tmp_path.mkdir(exist_ok=True)
    image.save(tmp_path / name, **how)
    images = Images(tmp_path)
    (pixels,) = images._read([0])
    assert pixels.shape == images._shape(0)
    assert images.channels == pixels.shape[2]
    return pixels / (255 if pixels.dtype.kind in "ui" else 1)


class TestEveryModeHasOneMeaning:
    @pytest.mark.parametrize(
        ("mode", "name", "expected"),
        [
            ("L", "one.png", GREY[..., None] / 255),
            ("1", "one.png", ((GREY > 127) * 1.0)[..., None]),
            ("LA", "one.png", GREY[..., None] / 255),
            ("RGB", "one.png", COLOURS / 255),
            ("RGBA", "one.png", COLOURS / 255),
            ("RGB", "one.bmp", COLOURS / 255),
            ("RGB", "one.ppm", COLOURS / 255),
        ],
    )
    def test_of_eight_bits(self, mode: str, name: str, expected: np.ndarray, tmp_path: Path):
        colours = mode.startswith("RGB")
        image = Image.fromarray(COLOURS if colours else GREY)
        if mode == "1":
            image = Image.fromarray((GREY > 127).astype(np.uint8) * 255).convert("1")
        elif mode.endswith("A"):
            image = image.convert(mode)
            image.putalpha(Image.fromarray(np.full_like(GREY, 7)))  # left out
        np.testing.assert_array_equal(saved(tmp_path, image, name), expected)

    def test_sixteen_bits_are_what_eight_would_be(self, tmp_path: Path):
        deep = Image.fromarray(GREY.astype(np.uint16) * 257)
        assert deep.mode.startswith("I")
        np.testing.assert_array_equal(saved(tmp_path / "deep", deep), saved(tmp_path / "flat", Image.fromarray(GREY)))
        batches = [Images([image]).batch((5, 5, 1), 1, 0) for image in (deep, Image.fromarray(GREY))]
        np.testing.assert_allclose(batches[0], batches[1], atol=1e-6)

    def test_integers_beyond_sixteen_bits_have_none(self):
        for pixels in (GREY.astype(np.int32) - 1, GREY.astype(np.int32) * 1000):
            with pytest.raises(InputError, match="is no image: numbers of mode I beyond 16"):
                Images([Image.fromarray(pixels)]).batch((5, 5, 1), 1, 0)

    def test_floats_are_taken_as_they_are(self):
        (pixels,) = Images([Image.fromarray(GREY.astype(np.float32) * 3)])._read([0])
        np.testing.assert_array_equal(pixels[..., 0], GREY * 3.0)

    def test_a_palette_stands_for_its_colours(self, tmp_path: Path):
        image = Image.fromarray(GREY // 120).convert("P")
        image.putpalette([10, 20, 30, 40, 50, 60])
        np.testing.assert_array_equal(np.unique(255 * saved(tmp_path, image)), [10, 20, 30, 40, 50, 60])

    def test_other_spaces_of_colour_become_red_green_and_blue(self):
        for mode in ("CMYK", "YCbCr", "HSV", "LAB"):
            colour = Image.new(mode, (4, 4)) if mode == "LAB" else Image.new("RGB", (4, 4), (255, 0, 0)).convert(mode)
            (pixels,) = Images([colour])._read([0])
            assert pixels.shape == (4, 4, 3)
            if mode in ("CMYK", "HSV"):
                assert pixels[0, 0].tolist() == [255, 0, 0]

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_a_picture_is_turned_as_its_exif_says(self, orientation: int, tmp_path: Path):
        exif = Image.Exif()
        exif[0x0112] = orientation
        turned = saved(tmp_path, Image.fromarray(COLOURS), exif=exif)
        assert turned.shape == ((10, 12, 3) if orientation < 5 else (12, 10, 3))
        by_hand = {1: COLOURS, 3: COLOURS[::-1, ::-1], 6: np.rot90(COLOURS, -1), 8: np.rot90(COLOURS)}
        if orientation in by_hand:
            np.testing.assert_array_equal(255 * turned, by_hand[orientation])

    def test_of_an_animation_the_first_picture_counts(self, tmp_path: Path):
        frames = [Image.fromarray(pixels) for pixels in (COLOURS, COLOURS[::-1])]
        found = saved(tmp_path, frames[0], "one.webp", save_all=True, append_images=frames[1:], lossless=True)
        np.testing.assert_array_equal(255 * found, COLOURS)


class TestAmbiguousArrays:
    @pytest.mark.parametrize(
        ("arrays", "complaint"),
        [
            ((PIXELS[0], PIXELS[1]), "holds 2 arrays that are one picture each"),
            (tuple(PIXELS), "holds 40 arrays that are one picture each"),
            ((PIXELS[0],), "of 10x12x3 is one picture, or 10: make it 1x10x12x3"),
            ((PIXELS[0].transpose(2, 0, 1),), "of 3x10x12 is one picture, or 3"),
            ((PIXELS[0, ..., :1],), "of 10x12x1 is one picture, or 10"),
            ((PIXELS.transpose(0, 3, 1, 2)[..., :3],), "of 40x3x10x3 has its channels first, or last"),
            ((PIXELS[0, ..., 0],), "holds no array of images"),
        ],
    )
    def test_in_an_archive(self, arrays: tuple[np.ndarray, ...], complaint: str, tmp_path: Path):
        np.savez(tmp_path / "images.npz", *arrays)
        with pytest.raises(InputError) as caught:
            Images(tmp_path / "images.npz")
        assert complaint in str(caught.value)

    @pytest.mark.parametrize(("array", "channels"), [(PIXELS, 3), (PIXELS[:, :, :3], 3), (PIXELS[..., 0], 1)])
    def test_an_archive_of_one_clear_array_is_taken(self, array: np.ndarray, channels: int, tmp_path: Path):
        np.savez(tmp_path / "images.npz", array)
        images = Images(tmp_path / "images.npz")
        assert (len(images.images), images.channels) == (40, channels)

    @pytest.mark.parametrize("array", [PIXELS[0], PIXELS[0, ..., 0], PIXELS[0].transpose(2, 0, 1), PIXELS[0, ..., :1]])
    def test_an_array_that_may_be_one_picture(self, array: np.ndarray):
        with pytest.raises(InputError, match=r"the given array of \S+ is one picture, or"):
            Images(array)

    def test_channels_first_and_last(self):
        with pytest.raises(InputError, match="channels first, or last"):
            Images(np.zeros((40, 3, 12, 3)))

    def test_what_is_clear_is_taken(self):
        assert len(Images(PIXELS).images) == 40
        assert Images(PIXELS[..., 0]).channels == 1
        assert Images(PIXELS.transpose(0, 3, 1, 2)).channels == 3


class TestBounds:
    @pytest.mark.slow
    def test_large_pictures_fill_no_memory_and_give_the_same_numbers(self, tmp_path: Path):
        """Twelve megapixels each: as floats, one alone takes 288 MB."""
        chance = np.random.default_rng(0)
        for name in range(4):
            small = Image.fromarray(chance.integers(0, 256, (30, 40, 3), np.uint8))
            small.resize((4000, 3000)).save(tmp_path / f"{name}.jpg")
        program = """
import resource, sys
from micronas.inputs import Images
images = Images(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
images.channels, images.batch((32, 32, 3), 4, 0), images.batch((32, 32, 1), 4, 0), images.patches((3, 3, 1), 3000, 0)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""
        done = subprocess.run([sys.executable, "-c", program, tmp_path], capture_output=True, text=True, check=True)
        assert float(done.stdout) < 300
        pixels = [np.asarray(Image.open(tmp_path / f"{name}.jpg")) for name in range(4)]
        drawn = Images(tmp_path)._drawn_whole(4, 0)
        planes = [
            [
                np.asarray(
                    Image.fromarray((pixels[at] / 255.0)[..., channel].astype(np.float32)).resize(
                        (32, 32), Image.Resampling.BILINEAR
                    ),
                    float,
                )
                for channel in range(3)
            ]
            for at in drawn
        ]
        whole = np.array(planes)
        centred = whole - whole.mean(axis=(0, 2, 3), keepdims=True)
        expected = centred / centred.std(axis=(0, 2, 3), keepdims=True)
        np.testing.assert_array_equal(Images(tmp_path).batch((32, 32, 3), 4, 0), expected)

    def test_more_megapixels_than_any_camera_has_are_refused_by_the_header(self, tmp_path: Path):
        for side in (10_001, 20_000):
            Image.new("1", (side, side)).save(tmp_path / "one.png")
            with pytest.raises(InputError, match=r"one\.png has more than 100 megapixels; make it smaller"):
                Images(tmp_path).batch((8, 8, 3), 1, 0)

    def test_what_is_no_file_is_no_picture(self, tmp_path: Path):
        os.mkfifo(tmp_path / "a.png")
        (tmp_path / "b.png").mkdir()
        with pytest.raises(InputError, match="holds no images"):
            Images(tmp_path)

    def test_names_that_are_not_utf_8(self, tmp_path: Path):
        name = os.fsdecode(b"caf\xe9.png")
        Image.fromarray(COLOURS).save(tmp_path / name)
        assert Images(tmp_path).batch_digest(1, 0)
        assert Images(tmp_path).batch((8, 8, 3), 1, 0).shape == (1, 3, 8, 8)
