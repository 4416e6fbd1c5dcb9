"""Frame extraction beside plain loops over the same clips, in one run, and how it scales over processes.

    python -m benchmarks.extraction CLIPS [--repeats 5] [--record]

CLIPS is a folder below which clips lie. Every decoder gives ten uniformly spread frames of each clip, RGB, the short
side at 128 and the centre cut out, on one thread. PyAV, torchcodec and ffmpeg are compared where they are installed
(`pip install -e ".[benchmarks]"`; torchcodec and ffmpeg want FFmpeg's libraries on the system). Decoders take turns
clip by clip, so that what else the machine does falls on all of them.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measuring import clips_here, machine
from gradmix.domains.files.clips import Sampling, decode_clip
from gradmix.domains.files.fit import fit
from gradmix.domains.files.side_by_side import side_by_side

FRAMES, SIZE = 10, 128
SAMPLING = Sampling(count=FRAMES)
Decoder = Callable[[Path], np.ndarray]


def ours(path: Path) -> np.ndarray:
    """What extraction does: OpenCV decodes all frames, converts and resizes those that are kept."""
    return decode_clip(path, SAMPLING, SIZE, SIZE, "cover").frames_FHWC


def opencv_all(path: Path) -> np.ndarray:
    """The loop that everybody writes first: `read` every frame, keep some."""
    import cv2

    capture = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    announced = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
    frames = []
    while True:
        whole, frame = capture.read()
        if not whole:
            break
        frames.append(frame)
    capture.release()
    kept = [frames[position] for position in SAMPLING.positions(announced)]
    return np.stack([fit(frame, SIZE, SIZE, "cover")[..., ::-1] for frame in kept])


def pyav(path: Path) -> np.ndarray:
    """PyAV decodes all frames, converts those that are kept."""
    import av

    kept = []
    with av.open(str(path), metadata_errors="ignore") as container:
        stream = container.streams.video[0]
        stream.thread_type = "NONE"
        wanted = set(SAMPLING.positions(stream.frames))
        for number, frame in enumerate(container.decode(stream)):
            if number in wanted:
                kept.append(fit(frame.to_ndarray(format="rgb24"), SIZE, SIZE, "cover"))
    return np.stack(kept)


def torchcodec(path: Path) -> np.ndarray:
    """The frames by their numbers, from torchcodec."""
    from torchcodec.decoders import VideoDecoder

    decoder = VideoDecoder(path, num_ffmpeg_threads=1, dimension_order="NHWC")
    announced = decoder.metadata.num_frames_from_header or len(decoder)
    frames = decoder.get_frames_at(indices=SAMPLING.positions(announced)).data.numpy()
    return np.stack([fit(frame, SIZE, SIZE, "cover") for frame in frames])


def ffmpeg(path: Path, frames: int) -> np.ndarray:
    """One ffmpeg process per clip, which selects, scales and crops, and writes raw pixels to a pipe."""
    chosen = "+".join(f"eq(n\\,{n})" for n in SAMPLING.positions(frames))
    scale = f"scale={SIZE}:{SIZE}:force_original_aspect_ratio=increase:flags=area"
    command = ["ffmpeg", "-v", "error", "-threads", "1", "-i", str(path)]
    command += ["-vf", f"select={chosen},{scale},crop={SIZE}:{SIZE}", "-vsync", "0"]
    command += ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    pixels = subprocess.run(command, check=True, capture_output=True).stdout
    return np.frombuffer(pixels, np.uint8).reshape(-1, SIZE, SIZE, 3)


def announced(path: Path) -> int:
    """Frames by the header, after which all decoders choose theirs."""
    import cv2

    return int(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG).get(cv2.CAP_PROP_FRAME_COUNT))


def candidates(lengths: dict[Path, int]) -> dict[str, Decoder]:
    """The decoders that work here."""
    decoders: dict[str, Decoder] = {"OpenCV, kept frames converted (ours)": ours}
    decoders["OpenCV, every frame converted"] = opencv_all
    for name, decoder in (("PyAV, kept frames converted", pyav), ("torchcodec", torchcodec)):
        try:
            decoder(next(iter(lengths)))
        except Exception as error:
            print(f"{name} does not work here: {str(error).splitlines()[0]}")
        else:
            decoders[name] = decoder
    if shutil.which("ffmpeg"):
        decoders["ffmpeg, a process per clip"] = lambda path: ffmpeg(path, announced(path))
    return decoders


def compare(clips: list[Path], lengths: dict[Path, int], repeats: int) -> list[dict[str, Any]]:
    """Milliseconds per clip of every decoder, and how far its frames are from ours."""
    decoders = candidates(lengths)
    spent: dict[str, list[float]] = {name: [] for name in decoders}
    apart: dict[str, float] = dict.fromkeys(decoders, 0.0)
    for path in clips:
        reference = ours(path).astype(int)
        for name, decode in decoders.items():
            frames = decode(path)
            same = frames.shape == reference.shape
            apart[name] = max(
                apart[name], float(np.abs(frames - reference).mean()) if same else float("inf")
            )
    for _ in range(repeats):
        totals = dict.fromkeys(decoders, 0.0)
        for path in clips:
            for name, decode in decoders.items():
                started = time.perf_counter()
                decode(path)
                totals[name] += time.perf_counter() - started
        for name, total in totals.items():
            spent[name].append(total)
    all_frames, first = sum(lengths.values()), statistics.median(spent[next(iter(decoders))])
    return [
        {
            "decoder": name,
            "ms_per_clip": round(1000 * statistics.median(seconds) / len(clips), 2),
            "ms_spread": [round(1000 * x / len(clips), 2) for x in (min(seconds), max(seconds))],
            "frames_per_second": round(all_frames / statistics.median(seconds)),
            "ratio_to_ours": round(statistics.median(seconds) / first, 2),
            "largest_mean_difference_in_grey_levels": round(apart[name], 2),
        }
        for name, seconds in spent.items()
    ]


def scaling(clips: list[Path], copies: int, repeats: int) -> list[dict[str, Any]]:
    """Clips per second of the extraction's processes."""
    counts = [1, 2, 4]
    rates: dict[int, list[float]] = {count: [] for count in counts}
    work = partial(decode_clip, sampling=SAMPLING, height=SIZE, width=SIZE, how="cover")
    for _ in range(repeats):
        for count in counts:
            started = time.perf_counter()
            done = sum(1 for _ in side_by_side(work, clips * copies, count))
            rates[count].append(done / (time.perf_counter() - started))
    one = statistics.median(rates[1])
    return [
        {
            "processes": count,
            "clips_per_second": round(statistics.median(rates), 1),
            "ratio_to_one": round(statistics.median(rates) / one, 2),
        }
        for count, rates in rates.items()
    ]


def measure(
    clips: Path | None = None, quick: bool = False, repeats: int = 5, copies: int = 20
) -> dict[str, Any]:
    """Decoders and processes on all clips below a folder (default: the data folder).

    Raises:
        NotHereError: if there are no clips.
    """
    os.environ["OPENCV_FFMPEG_LOGLEVEL"] = "-8"
    paths = clips_here(clips)
    if quick:
        paths, repeats, copies = paths[:2], 2, 2
    lengths = {
        path: len(decode_clip(path, Sampling(every=1), 8, 8, "cover").numbers) for path in paths
    }
    return {
        "clips": len(paths),
        "frames": sum(lengths.values()),
        "n": repeats,
        "decoders": compare(paths, lengths, repeats),
        "processes": scaling(paths, copies, repeats),
    }


def main() -> None:
    """Measure, print, and keep the record if asked."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clips", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--copies", type=int, default=20, help="of the clips, for the processes")
    parser.add_argument("--record", action="store_true", help="write results/extraction.json")
    asked = parser.parse_args()
    record = {
        "command": f"python -m benchmarks.extraction CLIPS --repeats {asked.repeats}",
        **machine(),
        **measure(asked.clips, repeats=asked.repeats, copies=asked.copies),
    }
    for key in ("decoders", "processes"):
        for row in record[key]:
            print("  ".join(f"{name} {value}" for name, value in row.items()))
    if asked.record:
        path = Path(__file__).parent / "results" / "extraction.json"
        path.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
