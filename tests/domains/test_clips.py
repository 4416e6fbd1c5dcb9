"""Decoding clips: which frames, their size and colours, and every way in which a clip can be bad."""

import os
import shutil
import struct

import cv2
import numpy as np
import pytest

from gradmix.domains.files.clips import Sampling, decode_clip
from gradmix.domains.files.decoded import UndecodableError

ROWS, COLUMNS = 48, 64


def write_clip(path, frames=20, codec="XVID"):
    """Frame n is a plain colour: red 10 n, green 100, blue 255 - 10 n."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), 10, (COLUMNS, ROWS))
    for n in range(frames):
        frame = np.zeros((ROWS, COLUMNS, 3), np.uint8)
        frame[:] = (255 - 10 * n, 100, 10 * n)  # BGR
        writer.write(frame)
    writer.release()
    return path


def write_noise(path, frames):
    """A clip whose file is large, so that it can be cut anywhere."""
    random = np.random.default_rng(0)
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"XVID"), 10, (COLUMNS, ROWS))
    for _ in range(frames):
        writer.write(random.integers(0, 256, (ROWS, COLUMNS, 3), dtype=np.uint8))
    writer.release()
    return path


def test_positions_are_the_middles_of_equal_parts_or_every_nth():
    assert Sampling(count=4).positions(8) == [1, 3, 5, 7]
    assert Sampling(count=3).positions(100) == [16, 50, 83]
    assert Sampling(count=5).positions(3) == [0, 1, 2]
    assert list(Sampling(every=4).positions(10)) == [0, 4, 8]


@pytest.mark.parametrize("wrong", [{}, {"count": 2, "every": 3}, {"count": 0}, {"every": 0}])
def test_sampling_is_one_of_two(wrong):
    with pytest.raises(ValueError, match="either a count"):
        Sampling(**wrong)


@pytest.mark.parametrize("codec", ["XVID", "MJPG"])
def test_frames_are_the_asked_ones_in_rgb(tmp_path, codec):
    clip = decode_clip(
        write_clip(tmp_path / "c.avi", codec=codec), Sampling(count=4), 24, 24, "cover"
    )
    assert clip.frames_FHWC.shape == (4, 24, 24, 3)
    assert clip.numbers == (2, 7, 12, 17)
    middle = clip.frames_FHWC[:, 12, 12].astype(int)
    expected = [[10 * n, 100, 255 - 10 * n] for n in clip.numbers]
    assert np.abs(middle - expected).max() <= 8  # lossy codecs


def test_every_nth_frame(tmp_path):
    clip = decode_clip(write_clip(tmp_path / "c.avi"), Sampling(every=6), ROWS, COLUMNS, "cover")
    assert clip.numbers == (0, 6, 12, 18)
    assert np.abs(clip.frames_FHWC[:, 0, 0, 0].astype(int) - [0, 60, 120, 180]).max() <= 8


def damaged(path, tmp_path):
    """Every kind of bad clip: name -> (file, what the message must say)."""
    content = path.read_bytes()
    kinds = {
        "empty.avi": (b"", "empty"),
        "text.avi": (b"this is no video " * 50, "not a video"),
        "half.avi": (content[: len(content) // 2], "truncated|not a video"),
        "header.avi": (content[:6000], "no frame|truncated|not a video"),
    }
    for name, (data, what) in kinds.items():
        (tmp_path / name).write_bytes(data)
        yield tmp_path / name, what


def test_bad_clips_say_why(tmp_path):
    whole = write_noise(tmp_path / "whole.avi", frames=60)
    for path, what in damaged(whole, tmp_path):
        with pytest.raises(UndecodableError, match=what):
            decode_clip(path, Sampling(count=4), 24, 24, "cover")


@pytest.mark.parametrize("sampling", [Sampling(count=4), Sampling(every=1)])
def test_a_header_that_announces_too_much_costs_nothing(tmp_path, sampling):
    content = bytearray(write_clip(tmp_path / "c.avi").read_bytes())
    for chunk, field in ((b"avih", 16), (b"strh", 32)):
        place = content.index(chunk) + 8 + field
        content[place : place + 4] = struct.pack("<I", 2 * 10**9)
    (tmp_path / "c.avi").write_bytes(content)
    with pytest.raises(UndecodableError, match=r"truncated: 20 of 2,000,000,000 announced frames"):
        decode_clip(tmp_path / "c.avi", sampling, 24, 24, "cover")


def test_a_name_that_is_no_utf8_is_refused_before_it_crashes_opencv(tmp_path):
    write_clip(tmp_path / "c.avi")
    strange = tmp_path / os.fsdecode(b"b\xff.avi")
    os.rename(tmp_path / "c.avi", strange)
    with pytest.raises(UndecodableError, match="its path is no UTF-8"):
        decode_clip(strange, Sampling(count=4), 24, 24, "cover")


def test_a_clip_of_no_frame_is_bad(tmp_path):
    with pytest.raises(UndecodableError, match=r"no frame|not a video"):
        decode_clip(write_clip(tmp_path / "none.avi", frames=0), Sampling(count=4), 24, 24, "cover")


def test_real_clips_decode_whole_and_twice_the_same(real_data):
    clips = sorted(real_data.glob("ucf101/clips/*/*.avi"))
    clips += sorted(real_data.glob("hmdb51_samples/*/*.avi"))
    assert len(clips) == 9  # one of them with metadata that is no UTF-8
    for path in clips:
        clip = decode_clip(path, Sampling(count=10), 128, 128, "cover")
        assert clip.frames_FHWC.shape == (10, 128, 128, 3)
        assert clip.frames_FHWC.std() > 20
        again = decode_clip(path, Sampling(count=10), 128, 128, "cover")
        assert np.array_equal(clip.frames_FHWC, again.frames_FHWC)


def test_frames_are_those_that_another_decoder_gives(real_data, tmp_path):
    """FFmpeg's own program as judge, where it is installed."""
    import subprocess

    if shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is not installed")
    path = next(real_data.glob("ucf101/clips/Rowing/*.avi"))
    clip = decode_clip(path, Sampling(every=45), 240, 320, "cover")
    command = ["ffmpeg", "-v", "error", "-i", str(path), "-vf", "select='not(mod(n,45))'"]
    command += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True).stdout
    theirs = np.frombuffer(raw, np.uint8).reshape(-1, 240, 320, 3)
    assert len(theirs) == len(clip.frames_FHWC) == 3
    assert np.abs(theirs.astype(int) - clip.frames_FHWC).mean() < 1.5
