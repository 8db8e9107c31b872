# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The avatar on CUDA: its precision, its graphs, and no waiting; proved without a GPU as far as
that goes, with one where there is one."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from test_avatar import SIZE, body, on_meta, pictures, trainer
from torch import Tensor
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._python_dispatch import TorchDispatchMode

from portraitgen.avatar import cuda_graphs as graphed
from portraitgen.avatar import renderer
from portraitgen.avatar.avatar import Avatar, AvatarOutput
from portraitgen.avatar.cuda_graphs import Graphs
from portraitgen.avatar.renderer import NeuralRenderer, half_precision
from portraitgen.avatar.texture import FEATURES
from portraitgen.avatar.training import Trainer
from portraitgen.body.model import BodyModel

__all__ = ["body", "on_meta", "pictures"]

Pictures = tuple[np.ndarray, np.ndarray]
needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="NOT TESTED: the avatar on CUDA, this machine has none"
)


class Recorded:
    """Stands in for a CUDA graph: the very operations of the recording, on the tensors that they
    were recorded on."""

    made: list["Recorded"] = []

    def __init__(self, function: Any, given: tuple[Any, ...]) -> None:
        self._tensors = [each.clone() for each in given if isinstance(each, Tensor)]

        def of_tensors(*tensors: Tensor) -> tuple[Tensor, ...]:
            rest = iter(tensors)
            return function(*(next(rest) if isinstance(v, Tensor) else v for v in given))

        self._program = make_fx(of_tensors)(*self._tensors)
        self.replays = 0
        Recorded.made.append(self)

    def replay(self, given: tuple[Any, ...]) -> tuple[Tensor, ...]:
        self.replays += 1
        return self._program(*(each for each in given if isinstance(each, Tensor)))


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Recorded]]:
    monkeypatch.setattr(graphed, "_Graph", Recorded)
    monkeypatch.setattr(graphed, "_can_record", lambda given: not torch.is_grad_enabled())
    monkeypatch.setattr(Recorded, "made", [])
    return Recorded.made


def equal(first: AvatarOutput, second: AvatarOutput) -> bool:
    names = ("premultiplied", "alpha", "depth", "normals", "displaced")
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in names)


@torch.no_grad()
def drawn(avatar: Avatar, made: Trainer, row: int, **options: Any) -> AvatarOutput:
    K = made.data.intrinsics([row], SIZE)
    return avatar.render(made.parameters_of(row), K, SIZE, normals=True, **options)


@pytest.mark.parametrize(
    ("bfloat16", "learning", "expected"),
    [
        (True, False, torch.float16),
        (False, False, torch.float16),
        (True, True, torch.bfloat16),
        (False, True, None),
    ],
)
def test_pictures_on_cuda_take_float16_and_learning_what_needs_no_scaling(
    monkeypatch: pytest.MonkeyPatch, bfloat16: bool, learning: bool, expected: torch.dtype | None
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bfloat16)
    half_precision.cache_clear()
    try:
        assert half_precision("cuda", learning) is expected
    finally:
        half_precision.cache_clear()


@pytest.mark.parametrize("able", [True, False])
def test_the_cpu_takes_bfloat16_or_nothing(monkeypatch: pytest.MonkeyPatch, able: bool) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": able}, raising=False)
    half_precision.cache_clear()
    try:
        for learning in (True, False):
            assert half_precision("cpu", learning) is (torch.bfloat16 if able else None)
        assert half_precision("meta", True) is None
    finally:
        half_precision.cache_clear()


def test_the_network_works_channels_last() -> None:
    network = NeuralRenderer()
    network.load_state_dict({k: v.contiguous() for k, v in network.state_dict().items()})
    layouts: list[bool] = []
    for layer in network.modules():
        if isinstance(layer, torch.nn.Conv2d):
            assert layer.weight.is_contiguous(memory_format=torch.channels_last)
            layer.register_forward_hook(
                lambda layer, given, made: layouts.extend(
                    each.is_contiguous(memory_format=torch.channels_last)
                    for each in (given[0], made)
                )
            )
    network(torch.rand(2, FEATURES, 32, 32), torch.rand(2, 1, 32, 32))
    assert layouts and all(layouts)


def test_a_graph_serves_every_frame_and_every_value_of_the_weights(
    body: BodyModel, pictures: Pictures, recorded: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = trainer(body, pictures, steps=8)
    with torch.no_grad():
        made.avatar.renderer.out.weight.normal_(0, 0.1)

    def check(row: int, **options: Any) -> AvatarOutput:
        through = drawn(made.avatar, made, row, **options)
        with monkeypatch.context() as plainly:
            plainly.setattr(graphed, "_can_record", lambda given: False)
            assert equal(through, drawn(made.avatar, made, row, **options))
        return through

    first = check(0)
    graphs = len(recorded)
    assert graphs == 2, "the Gaussians and the network"
    assert not equal(first, check(1))
    # Training changes weights where they lie, and gives the avatar another identity.
    while not made.finished:
        made.step()
    made.avatar.betas = made._start_betas + made.refinement.shape.detach()
    assert not equal(first, check(0))
    made.avatar.load_state_dict({k: v * 1.01 for k, v in made.avatar.state_dict().items()})
    check(0)
    assert len(recorded) == graphs and all(each.replays == 4 for each in recorded)
    # Another camera, other features, another size.
    view = torch.eye(4)[None]
    view[0, 0, 3] = 0.1
    check(0, views=view)
    check(0, neural=False)
    assert len(recorded) == graphs + 2
    for parameter in made.avatar.parameters():
        parameter.data = parameter.data.clone()
    check(0)
    assert len(recorded) == graphs + 4, "the weights lie elsewhere"


def test_learning_is_never_recorded(
    body: BodyModel, pictures: Pictures, recorded: list[Recorded]
) -> None:
    made = trainer(body, pictures)
    made.step()
    assert not recorded
    made.evaluate([0])
    assert len(recorded) == 2


def test_each_shape_has_its_graph_and_keeps_its_result(recorded: list[Recorded]) -> None:
    graphs, weight = Graphs(), torch.ones(3)

    def function(values: Tensor, times: int) -> tuple[Tensor]:
        return (values * weight * times,)

    with torch.no_grad():
        for values in (torch.ones(2, 3), torch.zeros(2, 3), torch.ones(5, 3)):
            assert torch.equal(graphs(function, [weight], values, 2)[0], 2 * values)
        assert len(recorded) == 2
        assert torch.equal(
            graphs(function, [weight], torch.ones(2, 3), 3)[0], torch.full((2, 3), 3.0)
        )
    assert len(recorded) == 3


def test_without_graphs_it_draws_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    tried = []

    def fails(function: Any, given: tuple[Any, ...]) -> None:
        tried.append(given)
        raise RuntimeError("operation not permitted when stream is capturing\nCompile with ...")

    monkeypatch.setattr(graphed, "_Graph", fails)
    monkeypatch.setattr(graphed, "_can_record", lambda given: True)
    monkeypatch.setattr(graphed, "_warned", False)
    graphs = Graphs()
    with caplog.at_level(logging.WARNING):
        for size in (2, 2, 3):
            (made,) = graphs(lambda values: (values + 1,), [], torch.zeros(size))
            assert torch.equal(made, torch.ones(size))
    assert len(tried) == 2, "what failed is not tried again"
    assert [each.getMessage() for each in caplog.records] == [
        "No CUDA graph can be recorded (operation not permitted when stream is capturing);"
        " frames take longer."
    ]


def test_a_graph_is_recorded_as_pytorch_documents(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of torch.cuda in their order, by stand-ins that take what the real ones take."""
    happened: list[str] = []
    current = ["main"]
    takes = inspect.signature(torch.cuda.graph)

    class Stream:
        def __init__(self, name: str = "side") -> None:
            self.name = name

        def wait_stream(self, other: "Stream") -> None:
            happened.append(f"{self.name} waits for {other.name}")

    @contextmanager
    def stream(chosen: Stream) -> Iterator[None]:
        before, current[0] = current[0], chosen.name
        yield
        current[0] = before

    @contextmanager
    def graph(*given: Any, **options: Any) -> Iterator[None]:
        bound = takes.bind(*given, **options).arguments
        assert bound["capture_error_mode"] == "thread_local"
        happened.append("begin")
        with stream(bound["stream"]):
            yield
        happened.append("end")

    class CudaGraph:
        def replay(self) -> None:
            happened.append("replay")

    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream(current[0]))
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "graph", graph)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", CudaGraph)
    made = torch.zeros(3)

    def function(values: Tensor, times: int) -> tuple[Tensor]:
        happened.append(f"function on {current[0]}")
        return (made.copy_(values * times),)

    graphed._side_stream.cache_clear()
    try:
        recorded = graphed._Graph(function, (torch.ones(3), 2))
    finally:
        graphed._side_stream.cache_clear()
    assert happened == [
        "side waits for main",
        *["function on side"] * 3,
        "main waits for side",
        "begin",
        "function on side",
        "end",
    ]
    (first,) = recorded.replay((torch.full((3,), 5.0), 2))
    assert happened[-1] == "replay" and current == ["main"]
    assert torch.equal(recorded._given[0], torch.full((3,), 5.0)), "where the graph reads"
    made.zero_()
    assert torch.equal(first, torch.full((3,), 2.0)), "a copy, which the next replay leaves alone"


class NothingAwaited(TorchDispatchMode):
    """Refuses what makes the CPU wait for a GPU: values read back, and indices sent to it."""

    def __init__(self, there: set[int]) -> None:
        super().__init__()
        self._there = there

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        name = func.overloadpacket.__name__
        assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "_unique2"), name
        if name in ("index", "index_put_"):
            sent = [each for each in args[1] if each is not None and id(each) not in self._there]
            assert not sent, f"an index or mask that is not on the device: {sent}"
        if name == "_to_copy" and (kwargs or {}).get("device"):
            assert args[0].device == kwargs["device"], "sent to another device"
        return func(*args, **(kwargs or {}))


def test_a_training_step_waits_for_nothing_but_its_loss(
    on_meta: Trainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    buffers = [*on_meta.avatar.buffers(), *on_meta.refinement.buffers()]

    def refused(*given: Any, **options: Any) -> None:
        raise AssertionError("values are sent to the device in every step")

    with NothingAwaited({id(each) for each in buffers}), monkeypatch.context() as patched:
        for maker in ("tensor", "as_tensor", "from_numpy"):
            patched.setattr(torch, maker, refused)
        for neural in (True, False):
            rows, on_meta.avatar.neural = [1, 2, 1], neural
            output = on_meta.render_rows(rows, SIZE // 2)
            loss = on_meta._loss(output, *on_meta.data.target(rows, SIZE // 2), rows)
            loss.backward()


def on_cuda(body: BodyModel, pictures: Pictures, **changes: int) -> Trainer:
    made = trainer(body, pictures, **changes)
    with torch.no_grad():
        made.avatar.renderer.out.weight.normal_(0, 0.1)
    return Trainer(made.avatar.on("cuda"), made.data, made.settings)


@needs_cuda
def test_a_graphed_picture_is_the_plain_one(
    body: BodyModel,
    pictures: Pictures,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    made = on_cuda(body, pictures, steps=4)
    for _ in range(2):
        for row in (0, 1, 0):
            through = drawn(made.avatar, made, row)
            with monkeypatch.context() as plainly:
                plainly.setattr(graphed, "_can_record", lambda given: False)
                plain = drawn(made.avatar, made, row)
            for name in ("premultiplied", "alpha", "depth", "displaced"):
                apart = (getattr(through, name) - getattr(plain, name)).abs()
                assert apart.max() < 2e-3, name
        while not made.finished:
            made.step()
    assert made.avatar._graphs._graphs and all(made.avatar._graphs._graphs.values())
    assert "No CUDA graph" not in caplog.text


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=needs_cuda)])
def test_float16_draws_what_float32_does(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    torch.manual_seed(0)
    network = NeuralRenderer().to(device)
    torch.nn.init.normal_(network.out.weight, 0, 0.1)
    features = torch.randn(1, FEATURES, 64, 64, device=device)
    alpha = torch.rand(1, 1, 64, 64, device=device)
    pictures = []
    for half in (torch.float16, None):
        monkeypatch.setattr(renderer, "half_precision", lambda kind, learning, half=half: half)
        with torch.no_grad():
            pictures.append(network._draw(features, alpha)[0])
    assert all(each.dtype == torch.float32 for each in pictures)
    assert 0 < (pictures[0] - pictures[1]).abs().max() < 5e-3


@needs_cuda
def test_a_step_on_cuda_waits_for_its_loss_and_for_gsplat(
    body: BodyModel, pictures: Pictures
) -> None:
    """gsplat asks once how many tiles the Gaussians touch."""
    made = on_cuda(body, pictures, steps=20, batch=2)
    made.step()
    mode = torch.cuda.get_sync_debug_mode()
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            made.step()
    finally:
        torch.cuda.set_sync_debug_mode(mode)
    assert len([each for each in waits if "synchroniz" in str(each.message)]) <= 2
