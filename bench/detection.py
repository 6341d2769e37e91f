"""CPU time of detection per photo, against what the model alone needs.

    python -m bench.detection --weights yolov8n.onnx --photos folder

Prints one Markdown table. Each figure is the median over all runs of process CPU
time, one thread; the rate is photos a second by the wall clock.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import onnxruntime
import PIL
from PIL import Image

from finwave.ml.detector import Detector
from finwave.ml.images import crop, decode_for, inspect_image, open_image, write_jpeg

DATA = Path(os.environ.get("FINWAVE_TEST_DATA", "../shared/data"))


@dataclass(frozen=True)
class Timing:
    cpu_ms: float
    wall_ms: float


def measure(work: Callable[[], object], *, n_runs: int) -> Timing:
    """Median CPU and wall time of one call, after one call to warm up."""
    work()
    cpu, wall = [], []
    for _ in range(n_runs):
        cpu_started, wall_started = time.process_time(), time.perf_counter()
        work()
        cpu.append(time.process_time() - cpu_started)
        wall.append(time.perf_counter() - wall_started)
    return Timing(1000 * median(cpu), 1000 * median(wall))


def resized(photo: Path, size_wh: tuple[int, int], folder: Path) -> Path:
    """A photo of another size, cut to shape; same scene, same JPEG quality."""
    image = open_image(photo)
    height, width = image.shape[:2]
    used = min(height, round(width * size_wh[1] / size_wh[0]))
    picture = Image.fromarray(crop(image, (0, 0, width, used)))
    path = folder / f"{size_wh[0]}x{size_wh[1]}.jpg"
    small = picture.resize(size_wh, Image.Resampling.LANCZOS)
    write_jpeg(np.asarray(small), path, quality=92)
    return path


def stages(detector: Detector, photo: Path, n_runs: int) -> dict[str, Timing]:
    """What each stage of one photo costs, and all of them together."""
    bounds = (2 * detector.input_wh[0], 2 * detector.input_wh[1])
    decoded = decode_for(photo, bounds)
    letterbox = detector.letterbox((decoded.width_px, decoded.height_px))
    tensor = detector.preprocess(decoded.image, letterbox)
    output = detector.run(tensor)
    work: dict[str, Callable[[], object]] = {
        "full decode": lambda: open_image(photo),
        "inspect": lambda: inspect_image(photo),
        "decode": lambda: decode_for(photo, bounds),
        "letterbox": lambda: detector.preprocess(decoded.image, letterbox),
        "model": lambda: detector.run(tensor),
        "boxes": lambda: detector.postprocess(output, letterbox),
        "detect": lambda: detector.predict(photo),
    }
    return {name: measure(call, n_runs=n_runs) for name, call in work.items()}


def machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = {line.partition(":")[2].strip() for line in lines if "model name" in line}
    return (
        f"{', '.join(sorted(names)) or platform.machine()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, onnxruntime {onnxruntime.__version__}, "
        f"Pillow {PIL.__version__}"
    )


def report(detector: Detector, photos: list[Path], n_runs: int) -> None:
    columns = ("decode", "letterbox", "model", "boxes", "detect")
    say = sys.stdout.write
    say(f"{machine()}\n")
    say(f"{detector.input_wh[0]} × {detector.input_wh[1]} input, n = {n_runs} runs\n\n")
    say("| photo | " + " | ".join(f"{name}, CPU-ms" for name in columns))
    say(" | detect / model | photos/s | full decode | inspect |\n")
    say("|---" * (len(columns) + 5) + "|\n")
    for photo in photos:
        info = inspect_image(photo)
        timings = stages(detector, photo, n_runs)
        say(f"| {info.width_px} × {info.height_px} | ")
        say(" | ".join(f"{timings[name].cpu_ms:.1f}" for name in columns))
        ratio = timings["detect"].cpu_ms / timings["model"].cpu_ms
        say(f" | {ratio:.2f} | {1000 / timings['detect'].wall_ms:.1f}")
        say(f" | {timings['full decode'].cpu_ms:.1f}")
        say(f" | {timings['inspect'].cpu_ms:.1f} |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, default=DATA / "weights/yolov8n.onnx")
    parser.add_argument("--photos", type=Path, default=DATA / "fullres")
    parser.add_argument("--runs", type=int, default=20)
    chosen = parser.parse_args()
    # One of each size, largest first; 12 MP and 1080p are made from the largest.
    by_size = {}
    for photo in sorted(path for path in chosen.photos.iterdir() if path.is_file()):
        info = inspect_image(photo)
        by_size.setdefault(info.width_px * info.height_px, photo)
    originals = [by_size[size] for size in sorted(by_size, reverse=True)]
    detector = Detector(chosen.weights)
    with tempfile.TemporaryDirectory() as folder:
        made = [
            resized(originals[0], size_wh, Path(folder))
            for size_wh in ((4000, 2667), (1920, 1080))
        ]
        report(detector, [*originals, *made], chosen.runs)


if __name__ == "__main__":
    main()
