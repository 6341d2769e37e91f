from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from finwave.ml import onnx_check
from finwave.ml.onnx_check import DetectorError, DetectorInfo, check_detector
from tests.finwave.ml.onnx_models import colour_detector, constant_detector, write


def refusal(model: onnx.ModelProto, tmp_path) -> str:
    """Why a model is refused, within this process, which is faster."""
    with pytest.raises(DetectorError) as caught:
        onnx_check.check_here(write(model, tmp_path / "m.onnx"))
    return str(caught.value)


def test_check_detector_tells_what_a_good_one_is(tmp_path):
    path = write(colour_detector(size_wh=(96, 64)), tmp_path / "m.onnx")

    info = check_detector(path)

    assert info == DetectorInfo({0: "red", 1: "green"}, 96, 64, False, "yolov8")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"size_wh": None}, (640, 640, True, "yolov8")),
        (
            {"size_wh": None, "metadata": {"imgsz": "[64, 96]"}},
            (96, 64, True, "yolov8"),
        ),
        (
            {"size_wh": None, "metadata": {"imgsz": "(1, 'x')"}},
            (640, 640, True, "yolov8"),
        ),
        ({"layout": "end-to-end"}, (128, 128, False, "end-to-end")),
        ({"layout": "yolov8-transposed"}, (128, 128, False, "yolov8-transposed")),
        ({"dtype": "float16"}, (128, 128, False, "yolov8")),
    ],
)
def test_good_detectors_of_all_kinds_pass(tmp_path, options, expected):
    path = write(colour_detector(**options), tmp_path / "m.onnx")

    info = onnx_check.check_here(path)

    assert (
        info.input_width_px,
        info.input_height_px,
        info.is_dynamic,
        info.layout,
    ) == expected


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "The file is empty."),
        (b"three fins, much glare", "no ONNX model, or is cut off"),
        (b"PK\x03\x04" + bytes(100), "PyTorch file"),
        (bytes(range(256)) * 50, "no ONNX model"),
        (b"\x08\x08", "there is no network in it"),
    ],
)
def test_files_that_are_no_model_are_refused(tmp_path, content, sentence):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)

    with pytest.raises(DetectorError, match=sentence):
        check_detector(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_model_is_refused(tmp_path, share):
    whole = colour_detector().SerializeToString()
    path = tmp_path / "m.onnx"
    path.write_bytes(whole[: int(len(whole) * share)])

    with pytest.raises(DetectorError, match=r"cut off|cannot open|no network"):
        check_detector(path)


def test_a_gigantic_file_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "m.onnx"
    with path.open("wb") as file:
        file.truncate(onnx_check.MAX_SIZE_BYTES + 1)  # a hole, no bytes on disk

    with pytest.raises(DetectorError, match="the limit is 600 MB"):
        check_detector(path)


def test_weights_in_another_file_are_refused(tmp_path):
    (tmp_path / "secret").write_bytes(bytes(1000))
    model = colour_detector()
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../secret")

    assert "weights in another file" in refusal(model, tmp_path)


def test_weights_in_another_file_are_found_inside_branches(tmp_path):
    tensor = TensorProto(name="t", dims=[1], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["t"], value=tensor)], "branch", [], []
    )
    model = colour_detector()
    model.graph.node.append(
        helper.make_node("If", ["images"], ["x"], then_branch=branch)
    )

    assert "weights in another file" in refusal(model, tmp_path)


@pytest.mark.parametrize("domain", ["com.example", "ai.onnx.contrib"])
def test_custom_operators_are_refused_by_name(tmp_path, domain):
    model = colour_detector()
    model.graph.node.append(
        helper.make_node("Launch", ["images"], ["x"], domain=domain)
    )
    model.opset_import.append(helper.make_opsetid(domain, 1))

    assert f"custom operator {domain}::Launch" in refusal(model, tmp_path)


def test_operators_that_the_model_defines_itself_are_allowed(tmp_path):
    model = colour_detector()
    model.functions.append(
        helper.make_function(
            "own",
            "Same",
            ["x"],
            ["y"],
            [helper.make_node("Identity", ["x"], ["y"])],
            [helper.make_opsetid("", 17)],
        )
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.graph.node[-1].op_type, model.graph.node[-1].domain = "Same", "own"

    onnx_check.check_here(write(model, tmp_path / "m.onnx"))


def test_an_unknown_standard_operator_is_refused(tmp_path):
    model = colour_detector()
    model.graph.node[-1].op_type = "Imagine"

    assert "ONNX Runtime cannot open the model" in refusal(model, tmp_path)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ([1, 64, 64, 3], "channels first"),
        ([1, 1, 64, 64], "wants 1 channels"),
        ([4, 3, 64, 64], "4 pictures at once"),
        ([3, 64, 64], "3 dimensions"),
        ([1, 3, 64, "width"], "free in one direction only"),
        ([1, 3, 8, 8], "each side may have 32 to 4096"),
    ],
)
def test_inputs_that_are_no_picture_are_refused(tmp_path, shape, sentence):
    model = constant_detector(np.zeros((1, 5, 84)), input_shape=shape)

    assert sentence in refusal(model, tmp_path)


def test_whole_number_input_is_refused(tmp_path):
    model = constant_detector(np.zeros((1, 5, 84)))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.UINT8

    assert "floating-point" in refusal(model, tmp_path)


def test_two_inputs_are_refused(tmp_path):
    model = colour_detector()
    model.graph.input.append(
        helper.make_tensor_value_info("sizes", TensorProto.FLOAT, [1, 2])
    )

    assert "2 inputs" in refusal(model, tmp_path)


def output(score: float, coordinate: float = 32.0) -> np.ndarray:
    """Two classes at 64 px, every anchor alike."""
    table = np.full((1, 6, 84), coordinate, np.float32)
    table[:, 4:] = score
    return table


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        (output(np.nan), "not finite"),
        (output(0.1, np.inf), "not finite"),
        (output(3.2), "between 0 and 1"),
        (output(-2.0), "between 0 and 1"),
        (output(0.5, 0.5), "shares of the picture"),
        (output(0.5, 1e6), "far outside"),
        (np.zeros((1, 1000)), "layout|shape"),
        (np.zeros((1, 84, 116)), "no layout known|segmentation"),
    ],
)
def test_output_that_cannot_be_true_is_refused(tmp_path, value, sentence):
    model = constant_detector(value, names="{0: 'fin', 1: 'fluke'}")

    assert any(part in refusal(model, tmp_path) for part in sentence.split("|"))


def test_names_that_do_not_fit_the_output_are_refused(tmp_path):
    assert "names 1 classes but its output holds 2" in refusal(
        colour_detector(names="['fin']"), tmp_path
    )


def test_hostile_names_are_not_run(tmp_path):
    marker = tmp_path / "run"
    names = f"__import__('pathlib').Path({str(marker)!r}).touch()"

    info = onnx_check.check_here(write(colour_detector(names=names), tmp_path / "m"))

    assert info.classes == {0: "class 0", 1: "class 1"}
    assert not marker.exists()


def test_a_memory_bomb_does_not_take_the_asker_along(tmp_path):
    # A constant of 2^42 floats made at run time: 17 TB.
    model = constant_detector(output(0.5))
    shape = helper.make_tensor("big", TensorProto.INT64, [1], [1 << 42])
    model.graph.initializer.append(shape)
    del model.graph.node[:]
    model.graph.node.extend(
        [
            helper.make_node("ConstantOfShape", ["big"], ["zeros"]),
            helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=1),
            helper.make_node("Add", ["value", "sum"], ["output0"]),
        ]
    )

    with pytest.raises(DetectorError, match=r"ONNX Runtime cannot|more memory"):
        check_detector(write(model, tmp_path / "m.onnx"))


def test_a_model_without_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_check, "_TIMEOUT_S", 0.01)

    with pytest.raises(DetectorError, match="did not finish"):
        check_detector(write(colour_detector(), tmp_path / "m.onnx"))


@pytest.mark.parametrize("name", ["yolov8n.onnx", "yolov8n_int8.onnx"])
def test_real_models_pass(real_data, name):
    info = check_detector(real_data / "weights" / name)

    assert (info.input_width_px, info.input_height_px) == (640, 640)
    assert (info.is_dynamic, info.layout) == (False, "yolov8")
    assert len(info.classes) == 80
    assert info.classes[19] == "cow"
