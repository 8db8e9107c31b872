# SPDX-FileCopyrightText: 2026 PortraitGen for Blender authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every diffusion editor promises, on tiny random models loaded from a local folder."""

import dataclasses
import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tiny_models
import torch
from safetensors.torch import load_file, save_file

pytest.importorskip("diffusers", reason="diffusers is not installed")

from portraitgen.editing.diffusion import (
    DiffusionEditor,
    leading_timesteps,
    text_embedding,
    to_image,
    to_tensor,
)
from portraitgen.editing.editor import EditRequest
from portraitgen.editing.flow_matching import partial_sigmas
from portraitgen.editing.registry import create_editor
from portraitgen.errors import Cancelled, EditError, ModelError
from portraitgen.images import as_pillow

HEIGHT, WIDTH = 50, 38  # Neither is a multiple of any model's patch.


def request(**changes: Any) -> EditRequest:
    """A small frame: a smooth picture, a rendering a little off it."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32) / HEIGHT
    source = 0.5 + 0.4 * np.stack([np.sin(9 * x), np.sin(7 * y), np.cos(8 * x * y)], -1)
    made = EditRequest(
        frame=7,
        rendered=(source * 0.8 + 0.1).astype(np.float32),
        source=source.astype(np.float32),
        matte=((x - 0.4) ** 2 + (y - 0.5) ** 2 < 0.15).astype(np.float32),
        normals=np.zeros((HEIGHT, WIDTH, 3), np.float32),
        strength=0.8,
        seed=1,
    )
    return dataclasses.replace(made, **changes)


@dataclass(frozen=True)
class Case:
    """An editor over tiny models: its options, where its pipeline lies, which option says so."""

    name: str
    options: dict[str, Any]
    folder: Path
    where: str = "model"

    def editor(self, **changes: Any) -> DiffusionEditor:
        made = create_editor(self.name, self.options | changes)
        assert isinstance(made, DiffusionEditor)
        return made


Cases = dict[str, Callable[[Path], Case]]


def instruct_pix2pix(root: Path) -> Case:
    kind = "StableDiffusionInstructPix2PixPipeline"
    folder = tiny_models.stable_diffusion(root / "ip2p", kind, 8)
    options = {"prompt": "bronze", "steps": 2, "size": 0, "model": str(folder), "guidance": 3}
    return Case("instruct-pix2pix", options, folder)


def ic_light(root: Path, channels: int) -> Case:
    base = tiny_models.stable_diffusion(root / "base", "StableDiffusionPipeline", 4)
    offset = tiny_models.light_offset(root / "light.safetensors", base, channels)
    options = {"prompt": "sunset", "steps": 2, "size": 0, "model": str(offset), "base": str(base)}
    if channels == 12:
        options["background"] = str(root / "background.png")
        ramp = np.linspace(0, 255, 40 * 30 * 3).reshape(30, 40, 3).astype(np.uint8)
        cv2.imwrite(str(options["background"]), ramp)
    return Case("ic-light", options, base, "base")


def flux2_klein(root: Path) -> Case:
    folder = tiny_models.klein(root / "klein")
    options = {"prompt": "bronze", "steps": 3, "size": 0, "model": str(folder)}
    return Case("flux2-klein", options, folder)


def qwen_image_edit(root: Path) -> Case:
    folder = tiny_models.qwen_image_edit(root / "qwen")
    options = {"prompt": "bronze", "steps": 2, "size": 0, "model": str(folder)}
    return Case("qwen-image-edit", options, folder)


CASES: Cases = {
    "instruct-pix2pix": instruct_pix2pix,
    "ic-light-fc": lambda root: ic_light(root, 8),
    "ic-light-fbc": lambda root: ic_light(root, 12),
    "flux2-klein": flux2_klein,
    "qwen-image-edit": qwen_image_edit,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Networks this small lose more to waiting for each other's threads than they gain."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", autouse=True)
def small_pictures() -> Iterator[None]:
    """Qwen's pipeline makes a megapixel of every picture it is given; here, less."""
    from diffusers.pipelines.qwenimage import pipeline_qwenimage_edit_plus as stock

    kept = stock.VAE_IMAGE_SIZE, stock.CONDITION_IMAGE_SIZE
    stock.VAE_IMAGE_SIZE, stock.CONDITION_IMAGE_SIZE = 64 * 64, 64 * 64
    yield
    stock.VAE_IMAGE_SIZE, stock.CONDITION_IMAGE_SIZE = kept


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Case]:
    """Builds a case's models once for all tests."""
    made: dict[str, Case] = {}

    def build(name: str) -> Case:
        if name not in made:
            made[name] = CASES[name](tmp_path_factory.mktemp(name))
        return made[name]

    return build


@pytest.fixture(scope="module", params=CASES)
def case(request: pytest.FixtureRequest, built: Callable[[str], Case]) -> Case:
    return built(request.param)


@pytest.fixture(scope="module")
def edited(case: Case) -> np.ndarray:
    return case.editor().edit(request())


class TestEveryDiffusionEditor:
    def test_an_odd_size_comes_back_as_it_was(self, edited: np.ndarray) -> None:
        assert edited.shape == (HEIGHT, WIDTH, 3) and edited.dtype == np.float32
        assert edited.min() >= 0 and edited.max() <= 1

    def test_the_same_seed_gives_the_same_bits(self, case: Case, edited: np.ndarray) -> None:
        assert np.array_equal(case.editor().edit(request()), edited)

    @pytest.mark.parametrize("what", ["seed", "source", "rendered"])
    def test_it_depends_on(self, case: Case, edited: np.ndarray, what: str) -> None:
        changed = 2 if what == "seed" else getattr(request(), what)[::-1, ::-1].copy()
        other = case.editor().edit(request(**{what: changed}))
        assert np.abs(other - edited).mean() > 1e-4

    def test_it_depends_on_the_prompt(self, case: Case, edited: np.ndarray) -> None:
        other = case.editor(prompt="a marble bust, seen in the snow").edit(request())
        assert np.abs(other - edited).mean() > 1e-5

    def test_strength_zero_is_the_identity(self, case: Case) -> None:
        asked = request(strength=0.0)
        assert case.editor().edit(asked) is asked.rendered

    def test_outside_the_mask_every_bit_stays(self, case: Case) -> None:
        mask = np.zeros((HEIGHT, WIDTH), np.float32)
        mask[10:20, 10:20] = 1
        asked = request(mask=mask)
        masked = case.editor().edit(asked)
        assert np.array_equal(masked[mask == 0], asked.rendered[mask == 0])
        assert not np.array_equal(masked[mask > 0], asked.rendered[mask > 0])

    def test_it_may_work_at_another_size(self, case: Case) -> None:
        edited = case.editor(size=64).edit(request())
        assert edited.shape == (HEIGHT, WIDTH, 3)

    def test_without_a_prompt_it_is_refused(self, case: Case) -> None:
        with pytest.raises(EditError, match="prompt"):
            case.editor(prompt=" ")

    def test_missing_weights_are_refused(self, case: Case, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="neither a model nor a folder"):
            case.editor(**{case.where: str(tmp_path / "nowhere")})

    def test_pickled_weights_are_refused(self, case: Case, tmp_path: Path) -> None:
        folder = tmp_path / "pickled"
        shutil.copytree(case.folder, folder)
        weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
        weights.rename(weights.with_suffix(".bin"))
        with pytest.raises(ModelError, match="pickled"):
            case.editor(**{case.where: str(folder)})

    def test_damaged_weights_are_refused_in_one_sentence(self, case: Case, tmp_path: Path) -> None:
        folder = tmp_path / "damaged"
        shutil.copytree(case.folder, folder)
        (folder / "vae" / "diffusion_pytorch_model.safetensors").write_bytes(b"no tensors")
        with pytest.raises(ModelError, match="cannot be loaded") as failure:
            case.editor(**{case.where: str(folder)}).prepare([])
        assert "\n" not in str(failure.value)

    @pytest.mark.parametrize("part", ["_class_name", "vae"])
    def test_another_pipeline_or_code_of_its_own_is_refused(
        self, case: Case, tmp_path: Path, part: str
    ) -> None:
        folder = tmp_path / "other"
        shutil.copytree(case.folder, folder)
        index = json.loads((folder / "model_index.json").read_text())
        index[part] = "OtherPipeline" if part == "_class_name" else ["their_module", "Vae"]
        (folder / "model_index.json").write_text(json.dumps(index))
        with pytest.raises(ModelError, match="OtherPipeline|code of its own"):
            case.editor(**{case.where: str(folder)})

    def test_weights_of_unknown_licence_are_no_commercial_ones(
        self, case: Case, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(EditError, match="commercially"):
            create_editor(case.name, case.options, commercial=True)
        monkeypatch.setenv("PORTRAITGEN_COMMERCIAL", "1")
        with pytest.raises(EditError, match="commercially"):
            case.editor()

    def test_the_user_may_stop_it_between_two_steps(self, case: Case) -> None:
        def stop() -> None:
            raise Cancelled

        editor = case.editor()
        editor.check = stop
        with pytest.raises(Cancelled):
            editor.edit(request())
        editor.check = lambda: None
        assert np.array_equal(editor.edit(request()), case.editor().edit(request()))

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device for half precision")
    def test_half_precision_on_cuda_is_finite(self, case: Case) -> None:
        editor = case.editor()
        edited = editor.edit(request())
        assert editor.pipeline().vae.dtype == editor.half
        assert np.isfinite(edited).all() and edited.std() > 0


def test_timesteps_are_the_leading_ones_with_an_offset_of_one() -> None:
    """As Instruct-NeRF2NeRF has them: a schedule that is as long as the drawn timestep."""
    from diffusers import DDIMScheduler

    for first in (1000, 642, 500, 23):
        for steps in (1, 4, 7, 10, 50):
            count = min(steps, first)
            scheduler = DDIMScheduler(first, steps_offset=1, timestep_spacing="leading")
            scheduler.set_timesteps(count)
            assert leading_timesteps(first, steps) == scheduler.timesteps.tolist()
    assert leading_timesteps(0, 10) == [1] and leading_timesteps(1, 10) == [1]


def test_the_loop_equals_the_stock_pipeline(built: Callable[[str], Case]) -> None:
    """At full strength, from the same latents, with DDIM's leading steps."""
    from diffusers import DDIMScheduler

    case = built("instruct-pix2pix")
    editor = case.editor(noise_low=1, noise_high=1, steps=4, negative="blue", guidance=7.5)
    asked = request(
        source=np.pad(request().source, ((0, 6), (0, 2), (0, 0)), "edge"),
        rendered=np.pad(request().rendered, ((0, 6), (0, 2), (0, 0)), "edge"),
        strength=1.0,
    )
    with torch.inference_mode():
        ours = editor._diffuse(asked)
        pipeline = editor.pipeline()
        timesteps = editor.timesteps(asked, 1000)
        latents = editor.start(asked, timesteps[0])
        kept = pipeline.scheduler
        pipeline.scheduler = DDIMScheduler.from_config(
            kept.config, timestep_spacing="leading", steps_offset=1, set_alpha_to_one=False
        )
        try:
            stock = pipeline(
                prompt="bronze",
                negative_prompt="blue",
                image=to_tensor(asked.source, latents) / 2 + 0.5,
                num_inference_steps=4,
                guidance_scale=7.5,
                image_guidance_scale=2.0,
                latents=latents,
                output_type="pt",
            ).images
        finally:
            pipeline.scheduler = kept
    assert timesteps == [751, 501, 251, 1]
    assert np.abs(ours.clip(0, 1) - to_image(stock * 2 - 1)).max() < 1e-5


def test_the_words_are_embedded_as_the_stock_pipeline_does(built: Callable[[str], Case]) -> None:
    pipeline = built("instruct-pix2pix").editor().pipeline()
    with torch.inference_mode():
        stock = pipeline._encode_prompt("a bronze bust", "cpu", 1, True, "blue")
        ours = [text_embedding(pipeline, text) for text in ("a bronze bust", "blue")]
    assert torch.equal(stock, torch.cat([*ours, ours[1]]))


FLOW = ["flux2-klein", "qwen-image-edit"]


class Called:
    """A pipeline whose call is watched."""

    def __init__(self, pipeline: Any, call: Callable[..., Any]) -> None:
        self.__dict__.update(pipeline=pipeline, call=call)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.pipeline, name)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.pipeline, name, value)

    def __call__(self, **given: Any) -> Any:
        return self.call(**given)


@pytest.mark.parametrize("name", FLOW)
def test_the_whole_schedule_equals_the_stock_pipeline(
    built: Callable[[str], Case], name: str
) -> None:
    editor = built(name).editor(steps=4)
    padded = np.pad(request().source, ((0, 14), (0, 26), (0, 0)), "edge")
    asked = request(source=padded, rendered=padded[::-1].copy(), strength=1.0, seed=3)
    with torch.inference_mode():
        ours = editor._diffuse(asked)
        stock = editor.pipeline()(
            image=[as_pillow(padded)],
            prompt="bronze",
            height=padded.shape[0],
            width=padded.shape[1],
            num_inference_steps=4,
            generator=torch.Generator("cpu").manual_seed(3),
            output_type="np",
            **editor._guidance(),
        ).images[0]
    assert np.abs(ours - stock).max() < 1e-4


@pytest.mark.parametrize("pictures", [1, 2])
def test_qwens_text_encoder_sees_a_picture_in_rows_and_columns(
    built: Callable[[str], Case], pictures: int
) -> None:
    """Against transformers' own forward on places written out by hand: the stock pipeline, whose
    processor cannot be had without torchvision, drops what they are computed from."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    case = built("qwen-image-edit")
    pipeline = case.editor().pipeline()
    shown = [as_pillow(np.full((56, 84 + 28 * n, 3), 0.2 + 0.6 * n)) for n in range(pictures)]
    with torch.inference_mode():
        ours, _ = pipeline.encode_prompt(prompt="bronze", image=shown)
    encoder = Qwen2_5_VLForConditionalGeneration.from_pretrained(case.folder / "text_encoder")
    marks = "".join(
        f"Picture {n + 1}: <|vision_start|><|image_pad|><|vision_end|>" for n in range(pictures)
    )
    words = pipeline.prompt_template_encode.format(marks + "bronze")
    tokens = pipeline.processor([words], shown, padding=True, return_tensors="pt")
    grids = iter((tokens["image_grid_thw"] // torch.tensor([1, 2, 2])).tolist())
    places: list[tuple[int, int, int]] = []
    start, pending = 0, tokens["input_ids"][0].tolist()
    while pending:
        if pending[0] != encoder.config.image_token_id:
            places.append((start, start, start))
            start, pending = start + 1, pending[1:]
            continue
        _, rows, columns = next(grids)
        places += [(start, start + y, start + x) for y in range(rows) for x in range(columns)]
        start, pending = start + max(rows, columns), pending[rows * columns :]
    with torch.inference_mode():
        meant = encoder(
            **{k: v for k, v in tokens.items() if k != "mm_token_type_ids"},
            position_ids=torch.tensor(places).T[:, None],
            output_hidden_states=True,
        ).hidden_states[-1][:, pipeline.prompt_template_encode_start_idx :]
    assert (ours - meant).norm() < 1e-4 * meant.norm()


def test_half_the_schedule_equals_the_stock_inpainting_of_everything(
    built: Callable[[str], Case],
) -> None:
    from diffusers import Flux2KleinInpaintPipeline

    editor = built("flux2-klein").editor(steps=4)
    padded = (np.pad(request().source, ((0, 14), (0, 26), (0, 0)), "edge") * 255).round() / 255
    asked = request(source=padded, rendered=padded, strength=0.5, seed=3)
    with torch.inference_mode():
        ours = editor._diffuse(asked)
        pipeline = editor.pipeline()
        stock = Flux2KleinInpaintPipeline(**pipeline.components, is_distilled=True)
        stock.set_progress_bar_config(disable=True)
        theirs = stock(
            prompt="bronze",
            image=as_pillow(padded),
            mask_image=as_pillow(np.ones_like(padded)).convert("L"),
            strength=0.5,
            num_inference_steps=4,
            guidance_scale=1.0,
            generator=torch.Generator("cpu").manual_seed(3),
            output_type="np",
        ).images[0]
    assert np.abs(ours - theirs).max() < 1e-3


def test_a_little_strength_changes_little() -> None:
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    whole = partial_sigmas(scheduler, 4, 1.0, 1.0)
    assert whole[0] == 1.0 and len(whole) == 4
    assert partial_sigmas(scheduler, 4, 0.5, 1.0) == pytest.approx(whole[2:])
    starts = [partial_sigmas(scheduler, 4, strength, 1.0)[0] for strength in (0.01, 0.2, 0.6, 0.9)]
    assert starts == sorted(starts) and starts[0] < 0.05


@pytest.mark.parametrize("name", FLOW)
def test_a_garment_needs_no_words_and_changes_the_edit(
    built: Callable[[str], Case], tmp_path: Path, name: str
) -> None:
    edits = []
    for colour in (0, 255):
        path = tmp_path / f"shirt{colour}.png"
        cv2.imwrite(str(path), np.full((48, 32, 3), (40, 90, colour), np.uint8))
        editor = built(name).editor(prompt="", garment=str(path))
        assert "garment of image 2" in editor.words()
        edits.append(editor.edit(request()))
    assert np.abs(edits[0] - edits[1]).mean() > 1e-4


@pytest.mark.parametrize("name", FLOW)
def test_other_frames_are_shown_the_anchor(
    built: Callable[[str], Case], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = built(name).editor()
    alone = editor.edit(request())
    pipeline, calls = editor.pipeline(), []

    def called(**given: Any) -> Any:
        calls.append((len(given["image"]), given["prompt"]))
        return kind.__call__(pipeline, **given)

    kind = type(pipeline)
    monkeypatch.setattr(editor, "pipeline", lambda: Called(pipeline, called))
    shown = []
    for colour in (0.1, 0.9):
        anchor = request(rendered=np.full_like(request().rendered, colour))
        editor.agree_with(dataclasses.replace(anchor, frame=request().frame + 7))
        shown.append(editor.edit(request()))
    assert all(count == 2 and "Image 2 is another frame" in words for count, words in calls)
    assert np.abs(shown[0] - shown[1]).mean() > 1e-4
    # The anchor itself is edited as it would be without one.
    editor.agree_with(request(rendered=shown[0]))
    assert np.array_equal(editor.edit(request()), alone)
    assert calls[-1] == (1, "bronze")


def test_a_picture_that_is_none_is_refused(built: Callable[[str], Case], tmp_path: Path) -> None:
    path = tmp_path / "shirt.png"
    path.write_bytes(b"no picture")
    with pytest.raises(EditError, match=r"shirt\.png: the picture cannot be read"):
        built("flux2-klein").editor(garment=str(path))


@pytest.mark.parametrize(("name", "channels"), [("ic-light-fc", 8), ("ic-light-fbc", 12)])
def test_every_key_is_the_bases_plus_the_offset(
    built: Callable[[str], Case], name: str, channels: int
) -> None:
    from diffusers import UNet2DConditionModel

    case = built(name)
    base = UNet2DConditionModel.from_pretrained(case.folder, subfolder="unet").state_dict()
    offset = load_file(case.options["model"])
    unet = case.editor().pipeline().unet
    merged = unet.state_dict()
    assert unet.config.in_channels == channels
    assert merged.keys() == base.keys()
    for key, value in merged.items():
        if key == "conv_in.weight":
            assert torch.equal(value[:, :4], base[key] + offset[key][:, :4].float())
            assert torch.equal(value[:, 4:], offset[key][:, 4:].float())
        else:
            assert torch.equal(value, base[key] + offset[key].float()), key


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("conv_out.bias"), "1 keys are not .* conv_out.bias"),
        (
            lambda state: state.update({"conv_out.bias": torch.zeros(9)}),
            "conv_out.bias is of shape",
        ),
        (lambda state: state.update({"conv_in.weight": torch.zeros(16, 4, 3, 3)}), "4 channels"),
        (lambda state: state.pop("conv_in.weight"), "no offsets"),
    ],
)
def test_offsets_that_do_not_fit_are_refused(
    built: Callable[[str], Case], tmp_path: Path, change: Callable[[Any], None], message: str
) -> None:
    case = built("ic-light-fc")
    state = load_file(case.options["model"])
    change(state)
    path = tmp_path / "light.safetensors"
    save_file(state, str(path))
    with pytest.raises(ModelError, match=message):
        case.editor(model=str(path)).prepare([])


def test_a_pickled_offset_is_refused(built: Callable[[str], Case], tmp_path: Path) -> None:
    path = tmp_path / "iclight_sd15_fc.ckpt"
    path.write_bytes(b"")
    with pytest.raises(ModelError, match="pickled"):
        built("ic-light-fc").editor(model=str(path))


def test_what_is_edited_again_is_drawn_anew(built: Callable[[str], Case]) -> None:
    editor = built("instruct-pix2pix").editor()
    asked = request()
    times = [tuple(editor.timesteps(dataclasses.replace(asked, again=n), 1000)) for n in range(4)]
    assert len(set(times)) == 4 and times[0] == tuple(editor.timesteps(asked, 1000))
    others = [request(frame=8, again=n).noise_seed for n in range(4)]
    assert others == [dataclasses.replace(asked, again=n).noise_seed for n in range(4)]
    assert len(set(others)) == 4
    edits = [editor.edit(dataclasses.replace(asked, again=n)) for n in (0, 1, 0)]
    assert np.array_equal(edits[0], edits[2]) and np.abs(edits[0] - edits[1]).mean() > 1e-3


def test_ic_lights_pass_is_that_of_its_own_programs(
    built: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    """diffusers' img2img with the same sampler, prompt and condition, from the same noise."""
    from diffusers import StableDiffusionImg2ImgPipeline

    from portraitgen.editing.editors import ic_light

    editor = built("ic-light-fc").editor(second=1, steps=6, noise=0.7, guidance=2)
    assert editor.words() == "sunset, best quality"
    padded = {
        name: np.pad(getattr(request(), name), ((0, 6), (0, 2), (0, 0)), "edge")
        for name in ("source", "rendered")
    }
    matte = np.pad(request().matte, ((0, 6), (0, 2)), "edge")
    asked = request(**padded, matte=matte, strength=1.0)
    drawn = torch.Generator("cpu").manual_seed(5)
    monkeypatch.setattr(
        ic_light, "noise_of", lambda asked, like: torch.randn(like.shape, generator=drawn)
    )
    pipeline = editor.pipeline()
    with torch.inference_mode():
        ours = editor._diffuse(asked)
        condition = editor._condition(asked)
        right = pipeline.unet.forward

        def hooked(sample: Any, *given: Any, **named: Any) -> Any:
            return right(torch.cat([sample, condition], dim=1), *given, **named)

        monkeypatch.setattr(pipeline.unet, "forward", hooked)
        parts = ("vae", "text_encoder", "tokenizer", "unet")
        stock = StableDiffusionImg2ImgPipeline(
            **{name: getattr(pipeline, name) for name in parts},
            scheduler=editor._sampler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
        theirs = stock(
            prompt=editor.words(),
            negative_prompt=editor.options.negative,
            image=editor._latent(asked.rendered),
            strength=0.7,
            num_inference_steps=round(6 / 0.7),
            guidance_scale=2,
            generator=torch.Generator("cpu").manual_seed(5),
            output_type="pt",
        ).images
    assert np.abs(ours.clip(0, 1) - to_image(theirs * 2 - 1)).max() < 1e-4


def test_the_second_pass_is_half_as_large_again(
    built: Callable[[str], Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = built("ic-light-fc").editor(light="left")
    passes = []
    right = editor._diffuse

    def diffuse(asked: EditRequest) -> np.ndarray:
        passes.append((asked.rendered.shape[:2], editor.noise_share(asked)))
        return right(asked)

    monkeypatch.setattr(editor, "_diffuse", diffuse)
    edited = editor.edit(request(strength=1.0))
    assert edited.shape == (HEIGHT, WIDTH, 3)
    assert passes == [((56, 40), 0.9), ((80, 64), 0.5)]


def test_light_from_a_side_and_from_a_background(built: Callable[[str], Case]) -> None:
    left, right = (
        built("ic-light-fc").editor(light=side).edit(request()) for side in ("left", "right")
    )
    assert np.abs(left - right).mean() > 1e-3
    with pytest.raises(EditError, match="background"):
        built("ic-light-fbc").editor(background="").prepare([])
