from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from PIL import Image

from finwave.ml.detector import (
    Detector,
    DetectorError,
    layout_of,
    parse_names,
    read_output,
)
from finwave.ml.images import ImageError, inspect_image
from tests.finwave.ml.onnx_models import colour_detector, constant_detector, write


def sea(width: int, height: int, **squares: tuple[int, int, int, int]) -> np.ndarray:
    """Grey water with squares in pure colours, by name of the colour."""
    image = np.full((height, width, 3), 60, np.uint8)
    for colour, (x1, y1, x2, y2) in squares.items():
        image[y1:y2, x1:x2] = {"red": (255, 0, 0), "green": (0, 255, 0)}[colour]
    return image


@pytest.fixture
def detector(tmp_path) -> Detector:
    return Detector(write(colour_detector(), tmp_path / "colours.onnx"))


def test_predict_finds_nothing_on_plain_water(detector):
    assert len(detector.predict(sea(200, 100))) == 0


@pytest.mark.parametrize("layout", ["yolov8", "yolov8-transposed", "end-to-end"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_predict_reads_every_layout(tmp_path, layout, dtype):
    model = colour_detector(layout=layout, dtype=dtype)
    detector = Detector(write(model, tmp_path / "m.onnx"))

    found = detector.predict(
        sea(128, 128, red=(32, 64, 64, 96), green=(96, 0, 128, 32))
    )

    assert detector.layout == layout
    assert detector.class_names == {0: "red", 1: "green"}
    by_class = dict(zip(found.class_id.tolist(), found.xyxy.tolist(), strict=True))
    assert by_class == {0: [32, 64, 64, 96], 1: [96, 0, 128, 32]}
    assert found.confidence == pytest.approx([1, 1], abs=1e-3)


def test_predict_maps_boxes_back_through_the_letterbox(detector):
    # 256 x 128 is fitted to 128 x 64, centred: 32 rows of padding above. The model's
    # cell (32, 32)-(64, 64) is therefore (64, 0)-(128, 64) of the photo.
    found = detector.predict(sea(256, 128, red=(64, 0, 128, 64)))

    assert found.xyxy.tolist() == [[64, 0, 128, 64]]


def test_predict_uses_a_rectangle_where_the_model_takes_any_size(tmp_path):
    model = colour_detector(size_wh=None, metadata={"imgsz": "[128, 128]"})
    detector = Detector(write(model, tmp_path / "m.onnx"))

    # Fitted to 128 x 64, which is whole strides: no padding at all.
    assert detector.is_dynamic
    assert detector.letterbox((256, 128)).canvas_wh == (128, 64)
    found = detector.predict(sea(256, 128, green=(192, 64, 256, 128)))
    assert found.xyxy.tolist() == [[192, 64, 256, 128]]


def test_predict_reads_a_photo_upright(detector, tmp_path):
    # Orientation 6: stored lying, to be turned by 90 degrees clockwise. The stored
    # square at the left below comes to lie at the left above.
    path = tmp_path / "portrait.png"
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = sea(128, 64, red=(0, 32, 32, 64))
    Image.fromarray(stored).save(path, exif=exif)

    found = detector.predict(path)

    assert found.xyxy.tolist() == [[0, 0, 32, 32]]


def test_predict_gives_the_same_boxes_for_file_and_array(detector, tmp_path):
    image = sea(512, 512, red=(128, 128, 256, 256))
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)

    from_file, from_array = detector.predict(path), detector.predict(image)

    assert from_file.xyxy.tolist() == from_array.xyxy.tolist()
    assert from_file.xyxy.tolist() == [[128, 128, 256, 256]]


def test_predict_raises_on_what_is_no_photo(detector, tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("three fins, much glare")

    with pytest.raises(ImageError, match="text file"):
        detector.predict(path)


def test_confidence_is_the_lowest_that_counts(tmp_path):
    path = write(colour_detector(score_scale=0.5), tmp_path / "m.onnx")
    image = sea(128, 128, red=(32, 64, 64, 96))

    assert len(Detector(path, confidence=0.49).predict(image)) == 1
    assert len(Detector(path, confidence=0.51).predict(image)) == 0


def test_class_ids_choose_what_counts_and_none_means_any(tmp_path):
    path = write(colour_detector(), tmp_path / "m.onnx")
    image = sea(128, 128, red=(32, 64, 64, 96), green=(96, 0, 128, 32))

    def classes(class_ids):
        found = Detector(path, class_ids=class_ids).predict(image)
        return sorted(found.class_id.tolist())

    assert classes([1]) == [1]
    assert classes([]) == classes(None) == [0, 1]


def constant_rows(rows: list[list[float]], n_anchors: int = 84) -> np.ndarray:
    """Two classes at 64 px: 64 + 16 + 4 anchors, of which the first are given."""
    table = np.zeros((n_anchors, 6), np.float32)
    table[: len(rows)] = rows
    return table.T[None]


def test_boxes_of_two_classes_on_one_animal_are_one_by_default(tmp_path):
    # IoU of the two is 18 * 20 / (400 + 400 - 360) = 0.82.
    rows = [[20, 20, 20, 20, 0.9, 0], [22, 20, 20, 20, 0, 0.8]]
    path = write(constant_detector(constant_rows(rows)), tmp_path / "m.onnx")
    image = np.zeros((64, 64, 3), np.uint8)

    agnostic = Detector(path).predict(image)
    by_class = Detector(path, is_class_agnostic=False).predict(image)

    assert agnostic.xyxy.tolist() == [[10, 10, 30, 30]]
    assert by_class.class_id.tolist() == [0, 1]


def test_boxes_are_clipped_and_those_in_the_padding_dropped(tmp_path):
    # A photo of 64 x 32 has 16 rows of padding above and below.
    rows = [[0, 32, 20, 20, 0.9, 0], [32, 5, 8, 8, 0, 0.8]]
    path = write(constant_detector(constant_rows(rows)), tmp_path / "m.onnx")

    found = Detector(path).predict(np.zeros((32, 64, 3), np.uint8))

    assert found.xyxy.tolist() == [[0, 6, 10, 26]]


def test_numbers_that_are_not_finite_are_nothing(tmp_path):
    rows = [[20, 20, np.nan, 20, 0.9, 0], [20, 20, 20, np.inf, 0, 0.8]]
    path = write(constant_detector(constant_rows(rows)), tmp_path / "m.onnx")

    assert len(Detector(path).predict(np.zeros((64, 64, 3), np.uint8))) == 0


def test_no_more_than_300_detections(tmp_path):
    # 8400 anchors of 640 px, each a box of its own, all equally sure.
    grid = np.arange(8400)
    table = np.full((1, 5, 8400), 0.5, np.float32)
    table[0, 0], table[0, 1] = 4 + 6 * (grid % 100), 4 + 6 * (grid // 100)
    table[0, 2:4] = 4
    path = write(
        constant_detector(table, input_shape=[1, 3, 640, 640]), tmp_path / "m.onnx"
    )

    assert len(Detector(path).predict(np.zeros((640, 640, 3), np.uint8))) == 300


def test_classes_without_names_are_numbered(tmp_path):
    detector = Detector(write(colour_detector(names=None), tmp_path / "m.onnx"))

    assert detector.class_names == {0: "class 0", 1: "class 1"}


# At 64 x 64 there are 64 + 16 + 4 = 84 anchors, at 640 x 640 8400.
@pytest.mark.parametrize(
    ("shape", "canvas_wh", "n_names", "layout"),
    [
        ((1, 84, 8400), (640, 640), 80, "yolov8"),
        ((1, 5, 8400), (640, 640), 0, "yolov8"),
        ((1, 6, 8400), (640, 640), 2, "yolov8"),
        ((1, 8400, 84), (640, 640), 80, "yolov8-transposed"),
        ((1, 8400, 6), (640, 640), 2, "yolov8-transposed"),
        ((1, 300, 6), (640, 640), 80, "end-to-end"),
        ((1, 300, 6), (640, 640), 2, "end-to-end"),
        ((1, 6, 84), (64, 64), 0, "yolov8"),
        ((1, 84, 6), (64, 64), 0, "yolov8-transposed"),
        ((1, 6, 33600), (640, 640), 2, "yolov8"),  # a fourth level, at stride 4
        ((1, 33600, 7), (640, 640), 3, "yolov8-transposed"),
    ],
)
def test_layout_of(shape, canvas_wh, n_names, layout):
    assert layout_of(shape, canvas_wh=canvas_wh, n_names=n_names) == layout


@pytest.mark.parametrize(
    ("shape", "n_names", "sentence"),
    [
        ((1, 1000), 0, r"shape \(1, 1000\)"),
        ((2, 84, 8400), 80, r"shape \(2, 84, 8400\)"),
        ((1, 4, 8400), 0, "no layout known"),
        ((1, 116, 8400), 80, "segmentation"),
        ((1, 56, 8400), 1, "pose"),
        ((1, 25200, 85), 80, "no layout known"),
        ((1, 3, 80, 80, 85), 80, "YOLOv8"),
    ],
)
def test_layout_of_refuses_what_is_no_detector(shape, n_names, sentence):
    with pytest.raises(DetectorError, match=sentence):
        layout_of(shape, canvas_wh=(640, 640), n_names=n_names)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", {}),
        ("{0: 'fin', 1: 'fluke'}", {0: "fin", 1: "fluke"}),
        ('{"0": "fin"}', {0: "fin"}),
        ("['fin', 'fluke']", {0: "fin", 1: "fluke"}),
        ("{0: ''}", {0: "class 0"}),
        ("{1: 'fin'}", {}),
        ("{'fin': 0}", {}),
        ("__import__('os').getcwd()", {}),
        ("{0: " * 5000, {}),
        ("'fin'", {}),
        ("7", {}),
        ("\x00", {}),
    ],
)
def test_parse_names(text, names):
    assert parse_names(text) == names


def test_read_output_takes_the_best_class_of_each_anchor():
    rows = [[50, 40, 20, 10, 0.2, 0.7], [10, 10, 4, 4, 0.1, 0.05]]
    output = np.array(rows, np.float32).T[None]

    boxes, confidence, class_id = read_output(output, "yolov8", confidence=0.15)

    assert boxes.tolist() == [[40, 35, 60, 45]]
    assert confidence.tolist() == [np.float32(0.7)]
    assert class_id.tolist() == [1]


def n_boxes(detector: Detector, folder) -> Counter[int]:
    """How many photos have 0, 1, 2 and (as 3) more boxes."""
    photos = sorted(folder.rglob("*.jpg"))
    return Counter(min(3, len(detector.predict(photo))) for photo in photos)


@pytest.mark.slow
def test_seals_fall_into_all_tiers(real_data):
    detector = Detector(real_data / "weights" / "yolov8n.onnx")

    counts = n_boxes(detector, real_data / "seals" / "images")

    # An independent count, with black instead of grey around the photo, had 14, 58,
    # 19 and 16.
    assert sum(counts.values()) == 107
    assert counts[0] == pytest.approx(14, abs=4)
    assert counts[1] == pytest.approx(58, abs=5)
    assert counts[2] + counts[3] == pytest.approx(35, abs=4)


@pytest.mark.slow
def test_int8_model_finds_raccoons(real_data):
    detector = Detector(real_data / "weights" / "yolov8n_int8.onnx", confidence=0.25)
    photos = sorted((real_data / "raccoon" / "images").iterdir())[:40]

    n_found = sum(len(detector.predict(photo)) > 0 for photo in photos)

    assert detector.class_names[0] == "person"
    assert n_found >= 34  # 38 of 40 as measured


@pytest.mark.slow
def test_photos_of_fins_are_read_and_boxes_lie_inside(real_data):
    detector = Detector(real_data / "weights" / "yolov8n.onnx")
    photos = sorted((real_data / "fins_boxes" / "images").iterdir())[:20]

    for photo in photos:
        found = detector.predict(photo)
        info = inspect_image(photo)
        assert (found.xyxy >= 0).all()
        assert (found.xyxy <= [info.width_px, info.height_px] * 2).all()
