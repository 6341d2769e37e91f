"""Measure a fin detector: rendered scenes with known fins, and real photographs.

    python -m bench.fin_detector [--weights FILE] [--photos FOLDER] [--card FILE]

`--photos` is a folder with `annotations.json` (COCO) and `images/`. `--card` writes the
figures into that model card. Prints JSON.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from finwave.ml.boxes import iou_matrix
from finwave.ml.detections import Detections
from finwave.ml.detector import Detector
from finwave.ml.fin_detector.data import VALIDATION_SEEDS, rendered_sample
from finwave.ml.rendering.fins import render_individual

WEIGHTS = Path(__file__).parents[1] / "finwave/ml/weights/fin-detector.onnx"
IOU = 0.5
CONFIDENCES = (0.15, 0.25)
WHAT = {
    "rendered_scenes": (
        "scenes of 960 x 640 px with other individuals and seeds than in training; fins from 16 px high"
    ),
    "real_photographs": (
        "field photographs of bottlenose dolphins (NaUKMA-Programistich/ML-Bottlenose-Dolphins), 640 px; never used to train or to choose"
    ),
    "latency": (
        "one picture of 960 x 640 px, ONNX Runtime on the CPU, one thread, 10 warm-up and 100 measured runs, on a shared two-core machine"
    ),
}
SEED = 99

Case = tuple[Detections, NDArray[np.float32]]


def rendered_cases(detector: Detector, n: int) -> Iterable[Case]:
    """Scenes of individuals and seeds that training never saw."""
    fins = [render_individual(seed) for seed in VALIDATION_SEEDS]
    for index in range(n):
        sample = rendered_sample(index, fins, seed=SEED, size_wh=(960, 640))
        yield detector.predict(sample.image), sample.boxes_xyxy


def photo_cases(detector: Detector, folder: Path) -> Iterable[Case]:
    coco = json.loads((folder / "annotations.json").read_text())
    for image in coco["images"]:
        boxes = [
            [x, y, x + w, y + h]
            for x, y, w, h in (
                annotation["bbox"]
                for annotation in coco["annotations"]
                if annotation["image_id"] == image["id"]
            )
        ]
        pixels = np.asarray(
            Image.open(folder / "images" / image["file_name"]).convert("RGB")
        )
        yield detector.predict(pixels), np.asarray(boxes, np.float32).reshape(-1, 4)


def matched(detections: Detections, truth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return which detections are right: greedily, each fin found once."""
    order = np.argsort(-detections.confidence, kind="stable")
    overlap = iou_matrix(detections.xyxy, truth)
    hit = np.zeros(len(order), bool)
    taken: set[int] = set()
    for i in order:
        free = [j for j in range(len(truth)) if j not in taken]
        if free:
            best = max(free, key=lambda j: overlap[i, j])
            if overlap[i, best] >= IOU:
                hit[i] = True
                taken.add(best)
    return hit


def average_precision(
    confidence: NDArray[np.float32], hit: NDArray[np.bool_], n_truth: int
) -> float:
    """Return the area under the precision envelope, at every recall (VOC 2010)."""
    order = np.argsort(-confidence, kind="stable")
    right = np.cumsum(hit[order])
    recall = np.concatenate([[0], right / n_truth, [1]])
    precision = np.concatenate([[1], right / np.arange(1, len(order) + 1), [0]])
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(recall) * envelope[1:]).sum())


def measure(cases: Iterable[Case]) -> dict[str, float | int]:
    confidence, hit = [], []
    n_photos = n_truth = n_empty = 0
    wrong_on_empty = dict.fromkeys(CONFIDENCES, 0)
    for detections, truth in cases:
        n_photos += 1
        n_truth += len(truth)
        confidence.append(detections.confidence)
        hit.append(matched(detections, truth))
        if not len(truth):
            n_empty += 1
            for level in CONFIDENCES:
                wrong_on_empty[level] += int((detections.confidence >= level).any())
    scores, hits = np.concatenate(confidence), np.concatenate(hit)
    result: dict[str, float | int] = {
        "n_photos": n_photos,
        "n_fins": n_truth,
        "ap50": round(average_precision(scores, hits, n_truth), 4),
    }
    for level in CONFIDENCES:
        chosen = scores >= level
        n_right = int(hits[chosen].sum())
        result[f"recall_at_{level}"] = round(n_right / n_truth, 4)
        result[f"precision_at_{level}"] = round(n_right / max(int(chosen.sum()), 1), 4)
        if n_empty:
            result["n_empty_photos"] = n_empty
            result[f"empty_photos_with_a_box_at_{level}"] = wrong_on_empty[level]
    return result


def latency(detector: Detector) -> dict[str, float]:
    """Ten warm-up runs, a hundred measured, one picture of 960 x 640, one thread."""
    image = np.random.default_rng(1).integers(0, 255, (640, 960, 3), dtype=np.uint8)
    times = []
    for i in range(110):
        started = time.perf_counter()
        detector.predict(image)
        if i >= 10:
            times.append((time.perf_counter() - started) * 1000)
    return {
        "mean_ms": round(float(np.mean(times)), 1),
        "sd_ms": round(float(np.std(times)), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure a fin detector.")
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--photos", type=Path, help="folder of real photographs")
    parser.add_argument("--scenes", type=int, default=300)
    parser.add_argument("--card", type=Path, help="write the figures into this card")
    options = parser.parse_args()
    # Low, so that the precision-recall curve is whole; see the levels above.
    detector = Detector(options.weights, confidence=0.01)
    figures: dict[str, object] = {
        "iou": IOU,
        "rendered_scenes": {
            "what": WHAT["rendered_scenes"],
            **measure(rendered_cases(detector, options.scenes)),
        },
        "latency": {"what": WHAT["latency"], **latency(detector)},
    }
    if options.photos:
        figures["real_photographs"] = {
            "what": WHAT["real_photographs"],
            **measure(photo_cases(detector, options.photos)),
        }
    print(json.dumps(figures, indent=2))
    if options.card:
        card = json.loads(options.card.read_text())
        card["measured"] = {**card.get("measured", {}), **figures}
        options.card.write_text(json.dumps(card, indent=2, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
