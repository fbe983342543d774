"""Batches from noise, folders, archives and sequences; every unusable source says so in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micronas.inputs import Gaussian, Images, InputError

CHANCE = np.random.default_rng(0)
PIXELS = CHANCE.integers(0, 256, (40, 10, 12, 3), dtype=np.uint8)


def folder(path: Path, ending: str = "png") -> Path:
    for at, pixels in enumerate(PIXELS):
        target = path / f"class{at % 3}" / f"{at}.{ending}"
        target.parent.mkdir(exist_ok=True)
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

    def test_digest_follows_the_files(self, tmp_path: Path):
        before = Images(folder(tmp_path)).digest
        assert before == Images(tmp_path).digest
        next(tmp_path.rglob("*.png")).unlink()
        assert before != Images(tmp_path).digest

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
        assert Images(path).digest == Images(path).digest

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
        assert Images(list(PIXELS)).digest == Images(list(PIXELS)).digest != Images(list(PIXELS[::-1])).digest


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
