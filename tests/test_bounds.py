"""Whatever lies in a folder or an archive, time and memory stay bounded and the answer is one line."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from micronas import pictures
from micronas.inputs import Images, InputError

RED = Image.new("RGB", (40, 40), (255, 0, 0))


def many_files(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pictures, "_MOST_FILES", 20)
    for number in range(30):
        (folder / f"{number}.txt").touch()


def many_folders(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(pictures, "_MOST_FILES", 20)
    for number in range(30):
        (folder / f"{number}").mkdir()


def large_file(folder: Path, patch: pytest.MonkeyPatch) -> None:
    RED.save(folder / "b.png")
    with (folder / "a.png").open("wb") as file:  # with a hole: no bytes on the disk
        file.truncate(1 << 40)


def claims_much(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "a.ppm").write_bytes(b"P6 100000 100000 255\n" + bytes(100))


def truncated(folder: Path, patch: pytest.MonkeyPatch) -> None:
    RED.save(folder / "whole.png")
    (folder / "a.png").write_bytes((folder / "whole.png").read_bytes()[:40])
    (folder / "whole.png").unlink()


def pipes(folder: Path, patch: pytest.MonkeyPatch) -> None:
    os.mkfifo(folder / "a.png")


def devices(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "a.png").symlink_to("/dev/zero")


def loop(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "a.png").symlink_to(folder / "b.png")
    (folder / "b.png").symlink_to(folder / "a.png")
    (folder / "c").symlink_to(folder)


def empty(folder: Path, patch: pytest.MonkeyPatch) -> None:
    (folder / "a.png").touch()


FOLDERS: dict[str, tuple[Callable[[Path, pytest.MonkeyPatch], None], str]] = {
    "many files": (many_files, "more than 20 files below it; name the folder of pictures"),
    "many folders": (many_folders, "more than 20 files below it"),
    "a file without an end": (large_file, "a.png has more than 1024 MiB; make it smaller"),
    "a header that claims 10 gigapixels": (claims_much, "a.ppm has more than 100 megapixels"),
    "a picture cut off": (truncated, "cannot read the image .*a.png"),
    "a pipe": (pipes, "holds no images"),
    "a device": (devices, "holds no images"),
    "links in a circle": (loop, "holds no images"),
    "nothing in a file": (empty, "cannot read the image .*a.png"),
}


@pytest.mark.parametrize(("make", "says"), FOLDERS.values(), ids=FOLDERS)
def test_a_folder_is_one_line(
    make: Callable[[Path, pytest.MonkeyPatch], None], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, monkeypatch)
    with pytest.raises(InputError, match=says) as caught:
        _scored(tmp_path)
    assert "\n" not in str(caught.value)


def _scored(folder: Path) -> None:
    images = Images(folder)
    assert images.batch_digest(len(images.images), 0)
    images.batch((32, 32, 3), len(images.images), 0)


def test_folders_that_lead_to_each_other_are_walked_once(tmp_path: Path) -> None:
    RED.save(tmp_path / "a.png")
    (tmp_path / "again").symlink_to(tmp_path)
    assert len(Images(tmp_path).images) == 1


def test_an_animation_of_many_frames_is_its_first_picture(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (40, 40), (at % 256, 0, 0)) for at in range(300)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], lossless=True, quality=0, method=0)
    assert Images(tmp_path).batch((32, 32, 3), 1, 0).shape == (1, 3, 32, 32)


def test_an_archive_that_unpacks_without_end_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez_compressed(tmp_path / "a.npz", np.zeros((400, 32, 32, 3), np.uint8))
    assert Images(tmp_path / "a.npz").batch((32, 32, 3), 4, 0).shape == (4, 3, 32, 32)
    monkeypatch.setattr(pictures, "_MOST_UNPACKED", 1 << 20)
    with pytest.raises(InputError, match=r"arr_0\.npy unpacks to more than 0 GiB"):
        Images(tmp_path / "a.npz").batch((32, 32, 3), 4, 0)


def test_a_million_arrays_are_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "_MOST_ARRAYS", 50)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for number in range(60):
            archive.writestr(f"{number}.npy", b"")
    with pytest.raises(InputError, match="more than 50 arrays"):
        Images(tmp_path / "a.npz").batch((32, 32, 3), 4, 0)


PEAK = """
import pathlib, sys
from micronas.inputs import Images

assert Images(sys.argv[1]).batch((32, 32, 3), 4, 0).shape == (4, 3, 32, 32)
status = pathlib.Path("/proc/self/status").read_text()  # getrusage would count the process that started this one
print(int(status.partition("VmHWM:")[2].split()[0]) / 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak is told in another way")
def test_gigabytes_of_zeros_need_no_memory(tmp_path: Path) -> None:
    """Two gigabytes in two megabytes."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as x:
        np.lib.format.write_array_header_1_0(x, {"descr": "|u1", "fortran_order": False, "shape": (2048, 512, 683, 3)})
        for _ in range(2048):
            x.write(bytes(512 * 683 * 3))
    done = subprocess.run([sys.executable, "-c", PEAK, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 500
