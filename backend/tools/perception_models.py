# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes MediaPipe's models (Apache-2.0) out of its wheel and makes them plain TensorFlow Lite.

    pip download --no-deps mediapipe==0.10.21
    python backend/tools/perception_models.py mediapipe-0.10.21-*.whl

Weights stay as they are, bit for bit. The face mesh is cut where operators of MediaPipe's own
stood, which perception/face_mesh.py computes; the matte's last convolution becomes the built-in one
of the same formula; branches whose results nobody reads are left out.
"""

import argparse
import sys
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

DATA = Path(__file__).resolve().parents[1] / "portraitgen" / "perception" / "data"
_MODULES = "mediapipe/modules"
_MESH = "face_landmark/face_landmark_with_attention"
# Our file: MediaPipe's, the tensors that come in, and those that come out, in our order.
_PARTS = {
    "face_detector_full": (
        "face_detection/face_detection_full_range_sparse",
        ["input_1"],
        ["Identity", "Identity_1"],
    ),
    "face_detector_short": (
        "face_detection/face_detection_short_range",
        ["input"],
        ["regressors", "classificators"],
    ),
    "face_mesh": (_MESH, ["input_1"], ["output_mesh", "conv_faceflag", "p_re_lu_3"]),
    "face_lips": (_MESH, ["transform_tensor_bilinear_v2"], ["conv_lips"]),
    "face_left_eye": (
        _MESH,
        ["transform_tensor_bilinear_v2_1"],
        ["conv_left_eye", "conv_left_iris"],
    ),
    "face_right_eye": (
        _MESH,
        ["transform_tensor_bilinear_v2_2"],
        ["conv_right_eye", "conv_right_iris"],
    ),
    "body_detector": (
        "pose_detection/pose_detection",
        ["input_1"],
        ["Identity", "Identity_1"],
    ),
    # Without its segmentation and its points in metres.
    "body": (
        "pose_landmark/pose_landmark_full",
        ["input_1"],
        ["Identity", "Identity_1", "Identity_3"],
    ),
    "palm_detector": (
        "palm_detection/palm_detection_full",
        ["input_1"],
        ["Identity", "Identity_1"],
    ),
    "hand": ("hand_landmark/hand_landmark_full", ["input_1"], ["Identity", "Identity_1"]),
    "person_mask": (
        "selfie_segmentation/selfie_segmentation",
        ["input_1"],
        ["activation_10"],
    ),
}


def part(model: schema.ModelT, inputs: list[str], outputs: list[str]) -> schema.ModelT:
    """What of a model leads from some of its tensors to others."""
    graph = model.subgraphs[0]
    number = {tensor.name.decode(): row for row, tensor in enumerate(graph.tensors)}
    first, last = [number[name] for name in inputs], [number[name] for name in outputs]
    wanted, needed = [], set(last)
    for operator in reversed(graph.operators):
        if needed & set(map(int, operator.outputs)):
            wanted.append(operator)
            needed |= {int(row) for row in operator.inputs if row >= 0} - set(first)
    kept = sorted(needed | {int(row) for each in wanted for row in each.outputs} | set(first))
    place = {row: new for new, row in enumerate(kept)} | {-1: -1}

    buffers = [schema.BufferT()]
    for row in kept:
        tensor = graph.tensors[row]
        data = model.buffers[tensor.buffer].data
        tensor.buffer = 0
        if data is not None and len(data):
            tensor.buffer = len(buffers)
            buffers.append(schema.BufferT(data=data))
    for operator in wanted:
        operator.inputs = [place[int(row)] for row in operator.inputs]
        operator.outputs = [place[int(row)] for row in operator.outputs]
    graph.operators = wanted[::-1]
    graph.tensors = [graph.tensors[row] for row in kept]
    graph.inputs, graph.outputs = [place[row] for row in first], [place[row] for row in last]

    codes = sorted({operator.opcodeIndex for operator in wanted})
    for operator in wanted:
        operator.opcodeIndex = codes.index(operator.opcodeIndex)
    model.operatorCodes = [model.operatorCodes[code] for code in codes]
    model.buffers = buffers
    model.metadata = model.metadataBuffer = model.signatureDefs = None
    return model


def use_builtin_transposed_convolution(model: schema.ModelT) -> None:
    """Puts TensorFlow Lite's own operator in the place of MediaPipe's of the same formula."""
    graph = model.subgraphs[0]
    for row, code in enumerate(model.operatorCodes):
        if code.customCode != b"Convolution2DTransposeBias":
            continue
        code.customCode = None
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.TRANSPOSE_CONV
        code.version = 3  # The first that adds a bias.
        for operator in graph.operators:
            if operator.opcodeIndex == row:
                padding, across, down = np.frombuffer(bytes(operator.customOptions), np.int32)
                assert padding == 1, "only SAME is known"
                source, weights, bias = operator.inputs
                shape = np.array(graph.tensors[int(operator.outputs[0])].shape, np.int32)
                model.buffers.append(schema.BufferT(data=np.frombuffer(shape.tobytes(), np.uint8)))
                graph.tensors.append(
                    schema.TensorT(
                        shape=[4],
                        type=schema.TensorType.INT32,
                        buffer=len(model.buffers) - 1,
                        name=b"shape",
                    )
                )
                operator.inputs = [len(graph.tensors) - 1, weights, source, bias]
                operator.customOptions = None
                operator.builtinOptionsType = schema.BuiltinOptions.TransposeConvOptions
                operator.builtinOptions = schema.TransposeConvOptionsT(
                    padding=schema.Padding.SAME, strideW=int(across), strideH=int(down)
                )


def written(model: schema.ModelT) -> bytes:
    """A model as a file."""
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def main() -> None:
    """Writes every part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    with zipfile.ZipFile(parser.parse_args().wheel) as wheel:
        (licence,) = (each for each in wheel.namelist() if each.endswith(".dist-info/LICENSE"))
        (DATA / "LICENSE").write_bytes(wheel.read(licence))
        for name, (source, inputs, outputs) in _PARTS.items():
            whole = wheel.read(f"{_MODULES}/{source}.tflite")
            model = part(schema.ModelT.InitFromPackedBuf(whole, 0), inputs, outputs)
            use_builtin_transposed_convolution(model)
            data = written(model)
            (DATA / f"{name}.tflite").write_bytes(data)
            print(f"{name}: {len(data) / 1e6:.2f} MB of {len(whole) / 1e6:.2f}", file=sys.stderr)


if __name__ == "__main__":
    main()
