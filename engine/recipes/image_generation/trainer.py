"""Trains a LoRA adapter of a latent-diffusion pipeline on the captioned pictures of a dataset version."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn
from torch.nn import functional as F

from engine.artifact import describe
from engine.data import Dataset, Item, bad_data, open_dataset
from engine.device import Device, choose
from engine.protocol import EngineError, FailureCode
from engine.randomness import Dice, mix
from engine.recipes.image_generation.base import (
    ADAPTER,
    TARGETS,
    Base,
    fast_scheduler,
    find_base,
    load_adapter,
    open_pipeline,
)
from engine.recipes.image_generation.config import ImageGenerationConfig
from engine.recipes.image_generation.pictures import Latents, captions_of, embed, encode, grid, jpeg, png
from engine.report import AnyBlock, Figure, Figures, Picture, Pictures
from engine.schedule import warmup_then_cosine
from engine.task import Context, Plan
from engine.training import TorchTask, check_batch, count_parameters

EVALUATION_SEED = 19_08  # held-out pictures are looked at with the same noise, at the same times, in each run
LOOKS = 4  # times at which each held-out picture is looked at
EVALUATED_AT_ONCE = 4
SAMPLE_BYTES = 300_000
PRIOR = "class-pictures.safetensors"


def build(context: Context) -> ImageGenerationTask:
    """Open the pipeline, put pictures and captions through its encoders."""
    config = context.config
    assert isinstance(config, ImageGenerationConfig)
    dataset = open_dataset(context.spec.data, "image")
    train, validation = _items(dataset)
    captions = [captions_of(items, config.prompt) for items in (train, validation)]
    base = find_base(context.spec.base)
    device = choose(context.spec.device, config.precision, config.deterministic)
    pipeline = open_pipeline(base)
    pipeline.to(device.torch)
    side = choose_side(config, pipeline)
    texts = sorted({"", config.class_prompt, *captions[0], *captions[1]})
    places = {text: number for number, text in enumerate(texts)}
    parts = [
        encode(
            pipeline.vae, dataset, items, [places[text] for text in said], side,
            flip=config.horizontal_flip and items is train, breathe=context.breathe,
        )
        if items
        else None
        for items, said in zip((train, validation), captions, strict=True)
    ]  # fmt: skip
    assert parts[0] is not None
    prior = _class_pictures(context, config, pipeline, side, places[config.class_prompt])
    embeddings = embed(pipeline, texts, context.breathe)
    context.log(
        f"{len(train)} pictures of {side}x{side} pixels with {len(set(captions[0]))} captions; an adapter of rank "
        f"{config.rank} on '{base.folder.name}'."
    )
    prompts = config.prompts_of_samples or [captions[0][0]]
    return ImageGenerationTask(
        context, config, device, dataset, base, pipeline, side, embeddings, parts[0], parts[1], prior, prompts
    )


def choose_side(config: ImageGenerationConfig, pipeline: Any) -> int:
    """The side of a picture in pixels; EngineError BAD_CONFIG when the network can't take it."""
    scale = pipeline.vae_scale_factor
    own = int(pipeline.unet.config.sample_size) * scale
    if config.resolution == "auto":
        return own
    coarsest = scale * 2 ** (len(pipeline.unet.config.down_block_types) - 1)
    if config.resolution % coarsest:
        raise EngineError(
            FailureCode.BAD_CONFIG,
            f"This base model can't make pictures of {config.resolution} pixels.",
            f"Set the resolution to a multiple of {coarsest}, such as {own}.",
        )
    return config.resolution


class Adapter(nn.Module):
    """The trainable weights of a network under names of their own, so that checkpoints hold these and no others."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                self.register_parameter(name.replace(".", "/"), parameter)


class ImageGenerationTask(TorchTask):
    """See `engine.task.Task`."""

    ahead_of_steps = True

    def __init__(
        self,
        context: Context,
        config: ImageGenerationConfig,
        device: Device,
        dataset: Dataset,
        base: Base,
        pipeline: Any,
        side: int,
        embeddings: torch.Tensor,
        train: Latents,
        validation: Latents | None,
        prior: Latents | None,
        prompts: Sequence[str],
    ) -> None:
        from diffusers import DDPMScheduler

        self.config = config
        self.dataset = dataset
        self.base = base
        self.pipeline = pipeline
        self.unet = pipeline.unet
        self.side = side
        self.embeddings = embeddings
        self.empty = 0  # the empty text sorts first
        self.train, self.validation, self.prior = train, validation, prior
        self.prompts = list(prompts)
        self.pictures: list[Any] = []  # samples of the last look
        self.untouched: float | None = None  # the validation loss of the base model
        _add_adapter(self.unet, config, base, device)
        self.scheduler = DDPMScheduler.from_config(pipeline.scheduler.config)
        self.levels = self.scheduler.alphas_cumprod.to(device.torch)
        self.kind = self.scheduler.config.prediction_type
        check_batch(config.batch_size, context.team.size)
        steps = config.steps if config.steps != "auto" else max(400, min(2000, 100 * len(train)))
        adapter = Adapter(self.unet)
        plan = Plan(
            total_steps=steps,
            steps_per_epoch=max(1.0, len(train) / config.batch_size),
            parameters=count_parameters(adapter),
            train_items=len(train),
            validation_items=len(validation) if validation else 0,
            evaluate_every=config.sample_every,
            sample_every=config.sample_every,
        )
        super().__init__(context, device, adapter, plan, config.weight_decay, config.gradient_clip)
        self.warmup = int(config.warmup_ratio * steps)
        self.dice = Dice(context.spec.seed)
        if config.gradient_checkpointing:
            self.unet.enable_gradient_checkpointing()
        self.unet.train()

    def learning_rate(self, index: int) -> float:
        config = self.config
        return warmup_then_cosine(
            index, self.plan.total_steps, config.learning_rate, self.warmup, config.minimum_learning_rate_ratio
        )

    def examples(self, index: int) -> int:
        return self.config.batch_size

    def batch(self, index: int) -> dict[str, torch.Tensor]:
        """Noised latents, what is to be predicted of them, times, captions and weights."""
        count = self.config.batch_size
        dice = self.dice.at(index)
        mine = self.team.share(count)
        drawn = self._draw(self.train, count, dice)
        drawn["weights"] = torch.ones(count)
        drawn["captions"][torch.rand(count, generator=dice) < self.config.caption_dropout] = self.empty
        if self.prior is not None:
            other = self._draw(self.prior, count, dice) | {"weights": torch.full((count,), self.config.class_weight)}
            drawn = {name: torch.cat([drawn[name], other[name]]) for name in drawn}
            rows = [*range(count)[mine], *range(count, 2 * count)[mine]]
        else:
            rows = [*range(count)[mine]]
        return {name: self.device.near(values[rows]) for name, values in drawn.items()}

    def loss(self, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        losses = self._losses(batch["latents"], batch["noise"], batch["times"], batch["captions"])
        losses = losses * self._importance(batch["times"]) * batch["weights"]
        return losses.mean(), {}

    @torch.no_grad()
    def evaluate(self, final: bool) -> dict[str, float]:
        if self.validation is None:
            return {}
        if self.untouched is None:
            self.unet.disable_adapters()
            try:
                self.untouched = self._held_out_loss(self.validation)
            finally:
                self.unet.enable_adapters()
        return {"validation/loss": self._held_out_loss(self.validation), "baseline/loss": self.untouched}

    def sample(self, index: int) -> tuple[str, str] | None:
        self.pictures = self._make_pictures()
        return "image", base64.b64encode(jpeg(grid(self.pictures), SAMPLE_BYTES)).decode()

    def artifact(self, metrics: dict[str, float]) -> dict[str, bytes]:
        if not self.pictures or self.plan.total_steps % self.config.sample_every:
            self.pictures = self._make_pictures()
        about = {
            "base": self.base.reference,
            "resolution": self.side,
            "prompts": self.prompts,
            "parameters": self.plan.parameters,
        }
        files = {ADAPTER: save(self._layers()), **describe(self.context, about, self.dataset, metrics)}
        return files | {f"sample-{number}.png": png(picture) for number, picture in enumerate(self.pictures)}

    def report(self) -> list[AnyBlock]:
        blocks: list[AnyBlock] = []
        if self.validation is not None:
            now = self._held_out_loss(self.validation)
            blocks.append(
                Figures(
                    title="On held-out pictures",
                    note="The mean squared error of the predicted noise, at fixed noise and times. The baseline is the "
                    "base model without the adapter.",
                    figures=[Figure(name="Validation loss", value=now, baseline=self.untouched, better="lower")],
                )
            )
        entries = [
            Picture(caption=prompt[:2000], file=f"sample-{number}.png") for number, prompt in enumerate(self.prompts)
        ]
        blocks.append(Pictures(title="What it makes", note="Made after the last step, one seed each.", entries=entries))
        return blocks

    def _draw(self, part: Latents, count: int, dice: torch.Generator) -> dict[str, torch.Tensor]:
        """`count` random pictures of a part with noise and times, on the CPU: the same on every device."""
        chosen = torch.randint(len(part), (count,), generator=dice)
        shape = (count, *part.mean.shape[1:])
        spread = torch.randn(shape, generator=dice)
        return {
            "latents": part.mean[chosen] + spread * part.deviation[chosen],
            "noise": torch.randn(shape, generator=dice),
            "times": torch.randint(len(self.levels), (count,), generator=dice),
            "captions": part.captions[chosen].clone(),
        }

    def _losses(
        self, latents: torch.Tensor, noise: torch.Tensor, times: torch.Tensor, captions: torch.Tensor
    ) -> torch.Tensor:
        """The mean squared error of each picture's prediction: (batch,)."""
        level = self.levels[times].view(-1, 1, 1, 1)
        noised = level.sqrt() * latents + (1 - level).sqrt() * noise
        made = self.unet(noised, times, self.embeddings[captions], return_dict=False)[0].float()
        if self.kind == "v_prediction":
            target = level.sqrt() * noise - (1 - level).sqrt() * latents
        else:
            target = noise
        return F.mse_loss(made, target, reduction="none").mean(dim=(1, 2, 3))

    def _importance(self, times: torch.Tensor) -> torch.Tensor:
        """Min-SNR weights (Hang et al., 2023): (batch,)."""
        limit = self.config.signal_to_noise
        if not limit:
            return torch.ones_like(times, dtype=torch.float32)
        level = self.levels[times]
        ratio = level / (1 - level)
        return ratio.clamp(max=limit) / (ratio + 1 if self.kind == "v_prediction" else ratio)

    @torch.no_grad()
    def _held_out_loss(self, part: Latents) -> float:
        """Over all held-out pictures at fixed noise and times."""
        dice = Dice(EVALUATION_SEED)
        looks = range(LOOKS * len(part))
        self.unet.eval()

        def judge(share: slice) -> torch.Tensor:
            some = looks[share]
            noise, times = zip(*(self._look(part, number, dice) for number in some), strict=True)
            rows = torch.tensor([number % len(part) for number in some])
            with self.device.autocast():
                losses = self._losses(
                    part.mean[rows].to(self.device.torch), torch.stack(noise).to(self.device.torch),
                    torch.stack(times).to(self.device.torch), part.captions[rows].to(self.device.torch),
                )  # fmt: skip
            return losses.double().sum().cpu()

        def mine() -> torch.Tensor:
            total = torch.zeros(1, dtype=torch.float64)
            for _, losses in self.fitting.judged(self.team.share(len(looks)), EVALUATED_AT_ONCE, judge):
                total += losses
            return total

        try:
            return self.team.total(mine, 1).item() / len(looks)
        finally:
            self.unet.train()

    def _look(self, part: Latents, number: int, dice: Dice) -> tuple[torch.Tensor, torch.Tensor]:
        """The noise and the time of one look; the times of a picture's looks are spread over all of them."""
        generator = dice.at(number)
        noise = torch.randn(part.mean.shape[1:], generator=generator)
        width = len(self.levels) // LOOKS
        place = torch.randint(width, (), generator=generator) + width * (number // len(part))
        return noise, place

    def _make_pictures(self) -> list[Any]:
        """A picture of each sample prompt."""
        self.unet.eval()
        try:
            with self.device.autocast():
                return [
                    make_picture(
                        self.pipeline, prompt, self.side, self.config.sample_steps, self.config.guidance,
                        seed=mix(self.context.spec.seed, number), breathe=self.context.breathe,
                    )
                    for number, prompt in enumerate(self.prompts)
                ]  # fmt: skip
        finally:
            self.unet.train()

    def _layers(self) -> dict[str, torch.Tensor]:
        """The adapter's weights under the names by which other programs know them."""
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft.utils import get_peft_model_state_dict

        layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(self.unet))
        return {f"unet.{name}": tensor.detach().float().cpu().contiguous() for name, tensor in layers.items()}


@torch.no_grad()
def make_picture(
    pipeline: Any,
    prompt: str,
    side: int,
    steps: int,
    guidance: float,
    seed: int,
    negative: str = "",
    breathe: Callable[[], None] = lambda: None,
    latents: bool = False,
) -> Any:
    """One picture of a prompt, a function of the seed; as latents if asked."""

    def between(_pipeline: Any, _step: int, _time: Any, kept: dict[str, Any]) -> dict[str, Any]:
        breathe()
        return kept

    own = pipeline.scheduler
    pipeline.scheduler = fast_scheduler(pipeline)
    try:
        made = pipeline(
            prompt, negative_prompt=negative or None, height=side, width=side, num_inference_steps=steps,
            guidance_scale=guidance, generator=torch.Generator().manual_seed(seed), callback_on_step_end=between,
            output_type="latent" if latents else "pil",
        )  # fmt: skip
    finally:
        pipeline.scheduler = own
    return made.images[0]


def _items(dataset: Dataset) -> tuple[list[Item], list[Item]]:
    """What is learned from and what is held out. A few pictures may all be for training."""
    train, validation = dataset.part("train"), dataset.part("validation")
    if not train:
        raise bad_data(
            "No picture of this version is meant for training.",
            "Freeze a version with a smaller validation_fraction, or add pictures.",
        )
    return train, validation


def _add_adapter(unet: Any, config: ImageGenerationConfig, base: Base, device: Device) -> None:
    """Give the network a trainable adapter, from an earlier result where there is one; the rest takes less room."""
    from peft import LoraConfig

    alpha = config.rank if config.alpha == "auto" else config.alpha
    if device.dtype is not None:
        unet.to(dtype=device.dtype)
    device.arrange(unet)
    unet.add_adapter(
        LoraConfig(r=config.rank, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=list(TARGETS))
    )
    if base.adapter is not None:
        try:
            load_adapter(unet, base.adapter)
        except (OSError, RuntimeError, ValueError, KeyError) as error:
            raise EngineError(
                FailureCode.BAD_CONFIG,
                f"The adapter of the base version can't be used: {error}.",
                "Set rank and alpha as they were in that version.",
            ) from error
    for parameter in unet.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def _class_pictures(
    context: Context, config: ImageGenerationConfig, pipeline: Any, side: int, caption: int
) -> Latents | None:
    """Pictures of the class by the base model, as latents; kept beside the checkpoints, so that they are made once."""
    if not config.class_pictures:
        return None
    path = context.spec.work_dir / PRIOR
    made = _kept(path, config.class_pictures)
    if made is None:
        context.log(f"The base model makes {config.class_pictures} pictures of '{config.class_prompt}'.")
        made = torch.stack(
            [
                make_picture(
                    pipeline, config.class_prompt, side, config.sample_steps, config.guidance,
                    seed=mix(context.spec.seed, -1 - number), breathe=context.breathe, latents=True,
                ).float().cpu()
                for number in range(config.class_pictures)
            ]
        )  # fmt: skip
        _keep(path, made)
    captions = torch.full((len(made),), caption, dtype=torch.long)
    return Latents(made, torch.zeros_like(made), captions)


def _kept(path: Path, count: int) -> torch.Tensor | None:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        found = load_file(path)["latents"]
    except (OSError, SafetensorError, KeyError):
        return None
    return found if len(found) == count else None


def _keep(path: Path, made: torch.Tensor) -> None:
    from safetensors.torch import save

    whole = path.with_suffix(".tmp")
    whole.write_bytes(save({"latents": made}))
    whole.replace(path)
