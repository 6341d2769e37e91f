"""Run a YOLOv8-layout ONNX detector on photos. For workers only: needs onnxruntime.

Whether a file deserves to be run is asked in `onnx_check`, not here.
"""

from __future__ import annotations

import ast
import math
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from finwave.ml.boxes import clip, from_centres
from finwave.ml.detections import Detections
from finwave.ml.images import decode_for
from finwave.ml.letterbox import Letterbox
from finwave.ml.nms import suppress

Layout: TypeAlias = Literal["yolov8", "yolov8-transposed", "end-to-end"]
YOLOV8: Layout = "yolov8"
TRANSPOSED: Layout = "yolov8-transposed"
END_TO_END: Layout = "end-to-end"

# The strides of YOLOv8's three output levels; canvases are multiples of the largest.
_STRIDES_PX = (8, 16, 32)
STRIDE_PX = 32

# Long side for models that accept any size and do not say what they were trained at.
DEFAULT_SIDE_PX = 640

# Photos are decoded at no less than so many times the size the model sees. On 12 MP
# mosaics of test photos, 99 % of YOLOv8n's boxes (confidence >= 0.25) then lie where
# full decoding puts them (IoU >= 0.9), against 94 % without a margin, for 1 to 5 ms.
_DECODE_MARGIN = 2

MAX_DETECTIONS = 300
_MAX_METADATA_CHARS = 200_000
_PROVIDERS = ("CUDAExecutionProvider", "CPUExecutionProvider")


class DetectorError(Exception):
    """A detector cannot be used; the message is a sentence for the user."""


class Detector:
    """A loaded detector.

    One thread by default: with one worker a core, more threads make all slower
    (measured: 9 instead of 26 photos a second on two cores).

    Args:
        weights: An ONNX file that passed `onnx_check.check_detector`.
        confidence: Detections below it are dropped.
        nms_iou: Of boxes that overlap by more, only the most confident is kept.
        class_ids: Classes that count; None or none at all means any.
        is_class_agnostic: Whether boxes of different classes suppress each other. By
            default they do: one animal that is called two things is still one
            animal. False does as Ultralytics' predict does by default.
        threads: Of one run.
        providers: ONNX Runtime's, in order of preference; by default the GPU where
            there is one, then the CPU.

    Raises:
        DetectorError: If the file cannot be loaded, or is no detector in a known
            layout.

    Note:
        On the 107 seal photos with COCO YOLOv8n at 0.15, any class, IoU 0.5: photos
        with 0, 1, 2 and more boxes number 11, 62, 16, 18 agnostic and 11, 44, 31, 21
        by class. With black padding instead of YOLOv8's grey it is 14, 58, 19, 16 and
        14, 42, 31, 20.
    """

    def __init__(
        self,
        weights: Path,
        *,
        confidence: float = 0.15,
        nms_iou: float = 0.5,
        class_ids: Collection[int] | None = None,
        is_class_agnostic: bool = True,
        threads: int = 1,
        providers: Sequence[str] | None = None,
    ) -> None:
        self.confidence = confidence
        self.nms_iou = nms_iou
        self.class_ids = frozenset(class_ids or ())
        self.is_class_agnostic = is_class_agnostic
        self.session = open_session(weights, threads=threads, providers=providers)
        model_input = self.session.get_inputs()[0]
        self._input_name: str = model_input.name
        self._dtype = np.float16 if "float16" in model_input.type else np.float32
        metadata = self.session.get_modelmeta().custom_metadata_map
        self.is_dynamic, self.input_wh = input_size(model_input.shape, metadata)
        names = parse_names(metadata.get("names", ""))
        output = self.run(np.zeros(self._blank_shape(), np.float32))
        self.layout: Layout = layout_of(
            output.shape, canvas_wh=self.input_wh, n_names=len(names)
        )
        self.class_names = names or _numbered(self.layout, output.shape)

    def predict(self, photo: Path | NDArray[np.uint8]) -> Detections:
        """Return the detections on a photo, in pixels of the upright original.

        Args:
            photo: Path of a photo, decoded no larger than needed; or an image, RGB
                uint8 (H, W, 3).

        Returns:
            At most 300, most confident first, clipped to the photo.

        Raises:
            ImageError: If the file cannot be read as a photograph.
        """
        if isinstance(photo, Path):
            width, height = self.input_wh
            bounds = (_DECODE_MARGIN * width, _DECODE_MARGIN * height)
            decoded = decode_for(photo, bounds)
            image, photo_wh = decoded.image, (decoded.width_px, decoded.height_px)
        else:
            image, photo_wh = photo, (photo.shape[1], photo.shape[0])
        letterbox = self.letterbox(photo_wh)
        output = self.run(self.preprocess(image, letterbox))
        return self.postprocess(output, letterbox)

    def letterbox(self, photo_wh: tuple[int, int]) -> Letterbox:
        """Return how a photo of this size is fitted into the model's input."""
        if self.is_dynamic:
            return Letterbox.rectangular(photo_wh, self.input_wh, stride_px=STRIDE_PX)
        return Letterbox.square(photo_wh, self.input_wh)

    def preprocess(
        self, image: NDArray[np.uint8], letterbox: Letterbox
    ) -> NDArray[np.float32]:
        """Return the model's input, (1, 3, h, w) float32 in [0, 1], RGB.

        Args:
            image: (H, W, 3) uint8 RGB, the photo in full or reduced.
            letterbox: The photo's.
        """
        canvas = letterbox.apply_image(image)
        planes = np.ascontiguousarray(canvas.transpose(2, 0, 1)[None])
        return np.multiply(planes, np.float32(1 / 255), dtype=np.float32)

    def run(self, tensor: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the model's first output for one input, as float32.

        Raises:
            DetectorError: If ONNX Runtime cannot run the model on it.
        """
        feed = {self._input_name: tensor.astype(self._dtype, copy=False)}
        try:
            output = self.session.run(None, feed)[0]
        except Exception as err:  # onnxruntime raises a dozen unrelated types
            raise DetectorError(
                f"ONNX Runtime cannot run the model: {_first_line(err)}"
            ) from err
        return np.asarray(output, dtype=np.float32)

    def postprocess(
        self, output: NDArray[np.float32], letterbox: Letterbox
    ) -> Detections:
        """Return the detections in a model's output, in pixels of the photo.

        Args:
            output: As `run` returned it, in canvas pixels; numbers that are not
                finite are taken for "nothing here".
            letterbox: The one that `preprocess` was given.
        """
        boxes, confidence, class_id = read_output(
            output, self.layout, confidence=self.confidence
        )
        if self.class_ids:
            wanted = np.isin(class_id, list(self.class_ids))
            boxes, confidence = boxes[wanted], confidence[wanted]
            class_id = class_id[wanted]
        if self.layout == END_TO_END:
            order = np.argsort(-confidence, kind="stable")
        else:
            order = suppress(
                boxes,
                confidence,
                iou=self.nms_iou,
                class_id=None if self.is_class_agnostic else class_id,
            )
        order = order[:MAX_DETECTIONS]
        width, height = letterbox.photo_wh
        in_photo = clip(
            letterbox.to_image(boxes[order]), width_px=width, height_px=height
        )
        # Boxes in the padding vanish when clipped; so do slivers below a pixel.
        has_area = ((in_photo[:, 2:] - in_photo[:, :2]) >= 1).all(axis=1)
        found = order[has_area]
        return Detections(in_photo[has_area], confidence[found], class_id[found])

    def _blank_shape(self) -> tuple[int, int, int, int]:
        return (1, 3, self.input_wh[1], self.input_wh[0])


def open_session(
    weights: Path, *, threads: int = 1, providers: Sequence[str] | None = None
) -> ort.InferenceSession:
    """Return an ONNX Runtime session that leaves other workers' cores alone.

    Raises:
        DetectorError: If ONNX Runtime does not accept the file.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    # Spinning threads keep a core busy between runs, where another worker needs it.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    options.log_severity_level = 3
    available = ort.get_available_providers()
    wanted = [name for name in providers or _PROVIDERS if name in available]
    try:
        return ort.InferenceSession(str(weights), options, providers=wanted)
    except Exception as err:  # onnxruntime raises a dozen unrelated types
        raise DetectorError(
            f"ONNX Runtime cannot open the model: {_first_line(err)}"
        ) from err


def input_size(
    shape: list[int | str | None], metadata: dict[str, str]
) -> tuple[bool, tuple[int, int]]:
    """Return whether a model takes any size, and its (or its usual) width and height.

    Args:
        shape: Of the input, batch, channels, height, width; text or None where free.
        metadata: The model's; `imgsz` is "[height, width]" or a number.

    Raises:
        DetectorError: If the input is not one RGB picture, channels first.
    """
    if len(shape) != 4:
        raise DetectorError(
            f"The model's input has {len(shape)} dimensions; a picture has four: "
            "batch, channels, height, width."
        )
    batch, channels, height, width = shape
    if channels != 3:
        hint = " Export it with channels first." if width == 3 else ""
        raise DetectorError(
            f"The model wants {channels} channels; photos have three.{hint}"
        )
    if isinstance(batch, int) and batch != 1:
        raise DetectorError(
            f"The model wants {batch} pictures at once. Export it with batch size 1."
        )
    if isinstance(height, int) and isinstance(width, int):
        return False, (width, height)
    if isinstance(height, int) or isinstance(width, int):
        raise DetectorError(
            "The model's input is free in one direction only. "
            "Export it with a fixed size, or free in both."
        )
    return True, _usual_size(metadata)


def layout_of(
    shape: tuple[int, ...], *, canvas_wh: tuple[int, int], n_names: int
) -> Layout:
    """Return how a model's output is to be read.

    A YOLOv8 head has one anchor for each cell of its three levels, which tells the
    orders apart; other numbers of anchors are accepted where the names agree.

    Args:
        shape: Of the first output, for one picture of the size of `canvas_wh`.
        canvas_wh: The input's width and height.
        n_names: How many classes the metadata names; 0 if it does not say.

    Raises:
        DetectorError: If no known layout fits.
    """
    if len(shape) != 3 or shape[0] != 1:
        raise DetectorError(
            f"The model's output has the shape {shape}; YOLOv8 detectors give "
            "(1, 4 + classes, anchors)."
        )
    _, rows, columns = shape
    n_anchors = sum(
        math.ceil(canvas_wh[0] / stride) * math.ceil(canvas_wh[1] / stride)
        for stride in _STRIDES_PX
    )
    if columns == n_anchors and rows >= 5 and rows != n_anchors:
        layout, n_classes = YOLOV8, rows - 4
    elif rows == n_anchors and columns >= 5:
        layout, n_classes = TRANSPOSED, columns - 4
    elif columns == 6 and (n_names != 2 or rows <= MAX_DETECTIONS):
        return END_TO_END
    elif 5 <= rows < columns:
        layout, n_classes = YOLOV8, rows - 4
    elif 5 <= columns < rows and columns - 4 == n_names:
        layout, n_classes = TRANSPOSED, columns - 4
    else:
        raise DetectorError(
            f"The model's output has the shape {shape}, which is no layout known "
            "here: (1, 4 + classes, anchors), or (1, n, 6) end to end."
        )
    if n_names not in (0, n_classes):
        raise DetectorError(
            f"The model names {n_names} classes but its output holds {n_classes}. "
            "Is it a segmentation, pose or YOLOv5 model? Export a detection model in "
            "the YOLOv8 layout."
        )
    return layout


def read_output(
    output: NDArray[np.float32], layout: Layout, *, confidence: float
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.int64]]:
    """Return the boxes in an output that are confident enough, in canvas pixels.

    Args:
        output: (1, 4 + C, A) centre x, centre y, width, height and C scores; the
            same turned over; or (1, n, 6) x1, y1, x2, y2, score, class.
        layout: Which of the three.
        confidence: Lowest score that counts.

    Returns:
        xyxy (K, 4) float32; score of the best class (K,) float32, at most 1; its
        class (K,) int64. In the order of the output, before any suppression.
    """
    if layout == END_TO_END:
        rows = output[0]
        rows = rows[(rows[:, 4] >= confidence) & np.isfinite(rows).all(axis=1)]
        boxes, scores = rows[:, :4], rows[:, 4]
        class_id = rows[:, 5].astype(np.int64)
        sound = (class_id >= 0) & (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return boxes[sound], np.minimum(scores[sound], 1), class_id[sound]
    table = output[0] if layout == YOLOV8 else output[0].T  # (4 + C, A)
    # The best class is looked for only where it can matter: few anchors pass.
    chosen = np.flatnonzero(table[4:].max(axis=0) >= confidence)
    candidates = table[:, chosen].T  # (K, 4 + C)
    candidates = candidates[np.isfinite(candidates).all(axis=1)]
    boxes = from_centres(candidates[:, :4])
    scores = candidates[:, 4:]
    return (
        boxes,
        np.minimum(scores.max(axis=1, initial=0), 1),
        scores.argmax(axis=1).astype(np.int64),
    )


def parse_names(text: str) -> dict[int, str]:
    """Return the class names in a model's metadata, {} where there are none.

    Args:
        text: A Python or JSON literal, `{0: 'fin'}` or `['fin']`; anyone can have
            written it.

    Example:
        >>> parse_names("{0: 'fin', 1: 'fluke'}")
        {0: 'fin', 1: 'fluke'}
    """
    if len(text) > _MAX_METADATA_CHARS:
        return {}
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {}
    pairs = dict(enumerate(value)) if isinstance(value, list | tuple) else value
    if not isinstance(pairs, dict):
        return {}
    try:
        names = {int(key): str(name).strip()[:120] for key, name in pairs.items()}
    except (ValueError, TypeError, OverflowError):
        return {}
    # Names that do not count from 0 cannot be matched to the output's classes.
    if sorted(names) != list(range(len(names))):
        return {}
    return {key: names[key] or f"class {key}" for key in sorted(names)}


def _numbered(layout: Layout, shape: tuple[int, ...]) -> dict[int, str]:
    if layout == END_TO_END:
        return {}
    n_classes = (shape[1] if layout == YOLOV8 else shape[2]) - 4
    return {index: f"class {index}" for index in range(n_classes)}


def _usual_size(metadata: dict[str, str]) -> tuple[int, int]:
    """Return the width and height a free-sized model was trained at."""
    try:
        value = ast.literal_eval(metadata.get("imgsz", "")[:100])
        height, width = (value, value) if isinstance(value, int) else value
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return DEFAULT_SIDE_PX, DEFAULT_SIDE_PX
    if not all(
        isinstance(side, int) and STRIDE_PX <= side <= 4096 and side % STRIDE_PX == 0
        for side in (width, height)
    ):
        return DEFAULT_SIDE_PX, DEFAULT_SIDE_PX
    return width, height


def _first_line(err: Exception) -> str:
    return str(err).strip().partition("\n")[0][:300]
