"""A run's EMA as a released model, with a card made from the run's records."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import jax

from facenhance_jax.runs import cards, checkpoints, run_folder


def export_model(
    workdir: Path,
    output: Path,
    card: str | None = None,
    dtype: str = "float32",
    which: str = "newest",
    params_of: Callable[[dict[str, Any]], dict] = run_folder.enhancer_params,
) -> int:
    """Writes the EMA of a checkpoint in `workdir`, the "newest" or the "best", as a released model; returns its step.

    `params_of` is as for `run_folder.read_ema`. Without a `card` (Markdown) the model gets one made from the records.

    Raises:
      InputError: `workdir` holds no run or no such checkpoint, the checkpoint is damaged, or `output` is not empty.
    """
    config, step, ema = run_folder.read_ema(workdir, which, params_of)
    card = card or model_card(workdir, config, step, ema)
    del config["data"]  # paths on the machine that trained are private
    config["train"].pop("start_from", None)
    checkpoints.save_model(output, ema, config, card, dtype)
    return step


def model_card(workdir: Path, config: dict[str, Any], step: int, params: Any) -> str:
    """Markdown: the network, its data, the training time and the scores. What a run did not record is left out."""
    lines = [line for line in run_folder.read_lines(workdir) if line["step"] <= step]
    data, train, model = config["data"], config["train"], config["model"]
    rows = {
        "network": f"{sum(leaf.size for leaf in jax.tree.leaves(params)) / 1e6:.1f} M parameters, {_network(model)}",
        "data": f"{_sets(data)}, split `{data['split']}`",
        "steps": f"{step:,} of {train['batch_size']} samples",
        "time": _time(lines),
        **_environment(workdir),
        **_scores(lines),
    }
    table = "\n".join(f"| {name} | {text} |" for name, text in rows.items() if text)
    return (
        f"# A model of facenhance_jax, step {step:,}\n\n| | |\n|---|---|\n{table}\n\n"
        "It knows what was in its data and nothing else: faces, light, cameras and expressions unlike those come out "
        f"worse, in ways that were not measured.\n\n{cards.HEADING}\n\n{cards.MUST_NOT}\n"
    )


def _network(model: dict[str, Any]) -> str:
    if "kind" in model:
        return f"{model['kind']}, {', '.join(model['labels'])}"
    return (
        f"{model['resolution']}x{model['resolution']} frames, patch {model['unet']['patch']}, "
        f"outputs {model['prediction']}, diffuses the {model['target']}, computes in {model['dtype']}"
    )


def _sets(data: dict[str, Any]) -> str:
    if not data["directories"]:
        return f"the set `{Path(data['directory']).name}`"
    return "the sets " + ", ".join(f"`{Path(name).name}` ({weight:g})" for name, weight in data["directories"])


def _time(lines: list[dict]) -> str | None:
    """The training time by the logged rates: it counts compilation, but no pauses between one start and the next."""
    logged = [line for line in lines if line.get("steps_per_second")]
    steps = [0, *(line["step"] for line in logged)]
    seconds = [(b - a) / line["steps_per_second"] for (a, b), line in zip(pairwise(steps), logged, strict=True)]
    return f"{sum(seconds) / 60:,.0f} minutes of training" if seconds else None


def _environment(workdir: Path) -> dict[str, str]:
    file = workdir / run_folder.ENVIRONMENT
    if not file.exists():
        return {}
    found = checkpoints.read_config(file, "remove it")
    packages = ", ".join(f"{name} {found['packages'][name]}" for name in ("jax", "flax", "optax"))
    return {"hardware": found["devices"], "software": f"Python {found['python']}, {packages}"}


def _scores(lines: list[dict]) -> dict[str, str]:
    scored = [line for line in lines if line.get("validation_psnr") is not None]
    if not scored:
        return {}
    last = scored[-1]
    ways = {"sampled": "", "photo copied": "_copied"}
    text = "; ".join(
        f"{name} {last[f'validation_psnr{way}']:.2f} dB PSNR, {last[f'validation_ssim{way}']:.4f} SSIM"
        for name, way in ways.items()
    )
    return {f"held-out subjects, single frames, step {last['step']:,}": text}
