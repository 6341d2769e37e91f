"""Teach the bundled fin detector, and write it as ONNX.

    python -m finwave.ml.fin_detector.train --out finwave/ml/weights \\
        --fins FOLDER --backgrounds FOLDER [FOLDER ...]

`--fins` is a folder with the photographs named in `fins_apache_boxes.json`;
`--backgrounds` are folders of pictures without fins. Without either, rendered scenes
alone are used.
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import time
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finwave.ml.fin_detector import data
from finwave.ml.fin_detector.assignment import detection_loss
from finwave.ml.fin_detector.model import Exported, FinDetector
from finwave.ml.seed import seed_everything

logger = logging.getLogger(__name__)

FILE_NAME = "fin-detector.onnx"
OPSET = 18
# Largest allowed difference between torch and ONNX Runtime: pixels, or confidence.
TOLERANCE = 1e-2


def fit(
    pool: data.Pool,
    *,
    minutes: float,
    max_steps: int,
    size_px: int,
    batch_size: int,
    learning_rate: float,
    focus: float,
    seed: int,
    start: Path | None = None,
) -> FinDetector:
    """Train for so many steps, or as many as fit into the time, and return the mean.

    The learning rate follows the share of the budget that is used up, whichever of the
    two budgets runs out first, so that it always ends near zero.
    """
    seed_everything(seed)
    rng = np.random.default_rng(seed)
    model: FinDetector = FinDetector(pretrained=True).to(
        memory_format=torch.channels_last
    )  # type: ignore[call-overload]
    if start is not None:
        model.load_state_dict(load_file(start))
    logger.info("%s", f"Starts from {start}." if start else model.note)
    average: FinDetector = copy.deepcopy(model).eval()
    optimiser = torch.optim.AdamW(groups_of(model, learning_rate), betas=(0.9, 0.99))
    rates = [group["lr"] for group in optimiser.param_groups]

    started, step = time.monotonic(), 0
    model.train()
    while True:
        used = max((time.monotonic() - started) / (60 * minutes), step / max_steps)
        if used >= 1:
            break
        factor = min((step + 1) / 60, 1.0) * (
            0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * used))
        )
        for group, rate in zip(optimiser.param_groups, rates, strict=True):
            group["lr"] = rate * factor

        samples = [data.training_sample(pool, rng, size_px) for _ in range(batch_size)]
        images = to_input([sample.image for sample in samples])
        truths = [torch.from_numpy(sample.boxes_xyxy) for sample in samples]
        scores, boxes, points, strides = model(images)
        score_loss, box_loss = detection_loss(
            scores, boxes, points, strides, truths, focus=focus
        )
        loss = score_loss + box_loss
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimiser.step()

        step += 1
        follow(average, model, decay=min(0.995, (1 + step) / (10 + step)))
        if step % 20 == 0:
            logger.info(
                "step=%d used=%.0f%% score=%.3f box=%.3f images/s=%.1f",
                step,
                100 * used,
                score_loss.item(),
                box_loss.item(),
                step * batch_size / (time.monotonic() - started),
            )
    logger.info("steps=%d images=%d", step, step * batch_size)
    return average


def groups_of(model: FinDetector, learning_rate: float) -> list[dict[str, object]]:
    """Slow for what was pretrained, fast for what is new; no decay of one-dimensional."""
    groups: list[dict[str, object]] = []
    for is_backbone in (True, False):
        for is_weight in (True, False):
            chosen = [
                parameter
                for name, parameter in model.named_parameters()
                if parameter.requires_grad
                and name.startswith("to_") is is_backbone
                and (parameter.ndim > 1) is is_weight
            ]
            groups.append(
                {
                    "params": chosen,
                    "lr": learning_rate * (0.3 if is_backbone else 1.0),
                    "weight_decay": 1e-4 if is_weight else 0.0,
                }
            )
    return groups


def to_input(images: list[data.PictureArray]) -> Tensor:
    stacked = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)  # (B, 3, H, W)
    return (
        stacked.to(torch.float32)
        .div_(255)
        .contiguous(memory_format=torch.channels_last)
    )


@torch.no_grad()
def follow(average: nn.Module, model: nn.Module, *, decay: float) -> None:
    """Move the running mean of the weights towards the model's, in place."""
    values = dict(model.state_dict())
    for name, mine in average.state_dict().items():
        if mine.dtype.is_floating_point:
            mine.lerp_(values[name], 1 - decay)
        else:
            mine.copy_(values[name])


def export(model: FinDetector, path: Path) -> float:
    """Write the model as ONNX, run it again and compare.

    Returns:
        The largest absolute difference from torch over two sizes of input.

    Raises:
        RuntimeError: if it exceeds `TOLERANCE`.
    """
    model = copy.deepcopy(model).eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    exported = Exported(model).eval()
    path.parent.mkdir(parents=True, exist_ok=True)
    # Both sides are multiples of the largest stride.
    rows, columns = (torch.export.Dim(n, min=1, max=128) * 32 for n in ("h", "w"))
    torch.onnx.export(
        exported,
        (torch.rand(2, 3, 320, 416),),
        str(path),
        input_names=["images"],
        output_names=["output0"],
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("batch"), 2: rows, 3: columns},),
        dynamo=True,
        external_data=False,
    )
    graph = onnx.load(path)
    meta = {
        "names": "{0: 'fin'}",
        "task": "detect",
        "stride": "32",
        "imgsz": "[640, 640]",
        "author": "finwave",
        "license": "Apache-2.0",
        "description": "Dorsal fins at sea; see fin-detector.json",
    }
    onnx.helper.set_model_props(graph, meta)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    worst = 0.0
    for height, width in ((320, 416), (640, 640)):
        images = torch.rand(
            1, 3, height, width, generator=torch.Generator().manual_seed(1)
        )
        with torch.no_grad():
            ours = exported(images).numpy()
        theirs = session.run(None, {"images": images.numpy()})[0]
        worst = max(worst, float(np.abs(ours - theirs).max()))
    if worst > TOLERANCE:
        message = f"ONNX differs from torch by {worst}, allowed are {TOLERANCE}."
        raise RuntimeError(message)
    return worst


def main() -> None:
    parser = argparse.ArgumentParser(description="Teach the bundled fin detector.")
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument("--fins", type=Path, help="folder of the photographed fins")
    parser.add_argument("--backgrounds", type=Path, nargs="*", default=[])
    parser.add_argument("--scenes", type=int, default=1400, help="rendered scenes")
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--steps", type=int, default=4000, help="at most so many")
    parser.add_argument("--size", type=int, default=384, help="side of the input, px")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument(
        "--focus", type=float, default=2.0, help="exponent of the focal weight; 0: none"
    )
    parser.add_argument("--start", type=Path, help="weights to go on from")
    parser.add_argument(
        "--keep", type=Path, help="write the weights here, to go on from"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("onnxscript").setLevel(logging.WARNING)
    logging.getLogger("onnx_ir").setLevel(logging.WARNING)
    torch.set_num_threads(options.threads)

    pool = data.Pool(
        rendered=data.rendered_samples(
            options.scenes, data.TRAINING_SEEDS, seed=options.seed
        ),
        fins=data.photographed_fins(options.fins) if options.fins else [],
        empty=data.backgrounds(options.backgrounds),
    )
    logger.info(
        "rendered=%d photographed=%d empty=%d",
        len(pool.rendered),
        len(pool.fins),
        len(pool.empty),
    )
    model = fit(
        pool,
        minutes=options.minutes,
        max_steps=options.steps,
        size_px=options.size,
        batch_size=options.batch,
        learning_rate=options.rate,
        focus=options.focus,
        start=options.start,
        seed=options.seed,
    )
    if options.keep:
        state = {k: v.contiguous() for k, v in model.state_dict().items()}
        save_file(state, options.keep)
    path = options.out / FILE_NAME
    difference = export(model, path)
    logger.info(
        "wrote %s, %d bytes, differs from torch by %.2g",
        path,
        path.stat().st_size,
        difference,
    )


if __name__ == "__main__":
    main()
