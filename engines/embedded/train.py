"""Training: plain PyTorch on one GPU (bf16 autocast, compiled) or on the CPU."""

from __future__ import annotations

import json
import math
import os
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import attention
import torch
from config import RUNS, SHAPES, Run
from feed import batches
from model import Decoder
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from pathlib import Path

SHARDS = 2  # weight files a checkpoint is split into


def rate(run: Run, step: int, steps: int) -> float:
    """Linear warm-up, then a cosine to zero."""
    if step < run.warmup_steps:
        return run.peak_rate * (step + 1) / run.warmup_steps
    progress = (step - run.warmup_steps) / max(steps - run.warmup_steps, 1)
    return run.peak_rate * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


def _optimizer(model: Decoder, run: Run, fused: bool) -> torch.optim.AdamW:
    matrices = [p for p in model.parameters() if p.dim() > 1]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    groups = [
        {"params": matrices, "weight_decay": run.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=run.peak_rate, betas=(0.9, 0.95), fused=fused)


def save(model: Decoder, folder: Path, log: dict[str, object]) -> None:
    """Write the weights as float16 in `SHARDS` files of about equal size, and the log."""
    folder.mkdir(parents=True, exist_ok=True)
    shards: list[dict[str, Tensor]] = [{} for _ in range(SHARDS)]
    sizes = [0] * SHARDS
    for name, value in sorted(model.state_dict().items(), key=lambda item: -item[1].numel()):
        place = sizes.index(min(sizes))
        shards[place][name] = value.detach().to("cpu", torch.float16).contiguous()
        sizes[place] += value.numel()
    for number, part in enumerate(shards):
        save_file(part, folder / f"weights-{number}.safetensors")
    (folder / "train.json").write_text(json.dumps(log, indent=1) + "\n", encoding="utf-8")


def train(name: str, folder: Path, steps: int | None = None, seconds: float | None = None) -> None:
    """Train model `name` of `config` into `folder`.

    `steps` overrides the run's. `seconds` ends the schedule early by wall time if that comes first
    (the learning rate then follows the time that has passed).
    """
    run, shape = RUNS[name], SHAPES[name]
    steps = steps or run.steps
    cores = os.cpu_count() or 1
    feed = batches(run.seed, run.rows_per_step, workers=max(cores - 2, 0))
    batch = next(feed)  # the workers fork before the device is touched
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    gpu = device.type == "cuda"
    torch.manual_seed(run.seed)
    torch.set_float32_matmul_precision("high")
    model = Decoder(shape).to(device)
    optimizer = _optimizer(model, run, fused=gpu)

    def loss_of(tokens: Tensor, weights: Tensor, documents: Tensor, mask: attention.Mask) -> Tensor:
        logits = model.logits(model(tokens, mask))
        targets = torch.roll(tokens, -1, dims=1)
        each = functional.cross_entropy(logits.float().flatten(0, 1), targets.flatten(), reduction="none")
        return (each * weights.flatten()).sum() / weights.sum()

    step_loss = torch.compile(loss_of) if gpu else loss_of
    mask_of = attention.blocks if gpu else attention.dense
    parameters = sum(p.numel() for p in model.parameters())
    print(f"{name}: {parameters:,} parameters on {device}", flush=True)

    history: list[tuple[int, float]] = []
    tokens_seen, begin, step, progress = 0, time.monotonic(), 0, 0.0
    running = torch.zeros((), device=device)
    measured = begin
    while progress < 1.0:
        for group in optimizer.param_groups:
            group["lr"] = rate(run, step if step < run.warmup_steps else int(progress * steps), steps)
        tokens, weights, documents = (part.to(device, non_blocking=True) for part in batch)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=gpu):
            loss = step_loss(tokens, weights, documents, mask_of(documents))
        loss.backward()  # type: ignore[no-untyped-call,unused-ignore]
        torch.nn.utils.clip_grad_norm_(model.parameters(), run.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        batch = next(feed)
        step += 1
        tokens_seen += tokens.numel()
        running = loss.detach() if step == 1 else 0.98 * running + 0.02 * loss.detach()
        if step == 20:
            measured = time.monotonic()
        if step % 100 == 0 or step == steps:
            value = float(running)
            speed = (step - 20) * tokens.numel() / (time.monotonic() - measured)
            history.append((step, round(value, 5)))
            print(f"step {step} loss {value:.4f} {speed / 1e6:.3f}M tokens/s", flush=True)
        progress = step / steps
        if seconds is not None:
            progress = max(progress, (time.monotonic() - begin) / seconds)
    log: dict[str, object] = {
        "model": name,
        "shape": asdict(shape),
        "run": asdict(run) | {"steps": step},
        "parameters": parameters,
        "tokens": tokens_seen,
        "seconds": round(time.monotonic() - begin, 1),
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "torch": torch.__version__,
        "loss": history,
    }
    feed.close()
    save(model, folder, log)
