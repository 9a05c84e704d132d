"""The light generators: a clip, and training steps; ImaGINator's beside PyTorch's."""

import functools
import statistics

import cpu
import jax
import numpy as np

from benchmarks.measuring import (
    COMPARISON,
    Times,
    apart,
    compare,
    device_memory,
    in_turn,
    peak_memory,
    seconds,
    threads,
)
from benchmarks.measuring import times as timed
from benchmarks.train import COMPILED, EAGER, OURS, torch_ways, updates
from configs import imaginator, motiongan, renderer
from facenhance_jax.faces import alignment
from facenhance_jax.generators import learned
from facenhance_jax.generators import settings as generator_settings
from facenhance_jax.training import generating

REPEATS = 3
SMALLEST = 4  # examples of an ImaGINator step


def generators(batches: list[int] | None = None, rounds: int = 3) -> None:
    """Prints the table of `--what=generators`; `batches` are of an ImaGINator (narrow) step."""
    environment = cpu.variables()
    clip, motion = apart(clip_and_motion, **environment)
    print(f"a clip of 32 frames on {threads()} cores: {clip:.3f} s, of which its motion {1000 * motion:.1f} ms")
    for name, size in {"motiongan": 64, "renderer": 16}.items():
        step = statistics.median(apart(our_steps, name, size, **environment).wall)
        print(f"training {name}, batch {size}: {1000 * step:.1f} ms a step, {size / step:.1f} examples/s")
    print(f"ImaGINator, narrow  batch {COMPARISON}")
    for size in batches or [SMALLEST]:
        ways = {OURS: functools.partial(apart, our_steps, "imaginator", size, **environment)} | {
            way: functools.partial(apart, their_steps, size, way == COMPILED, **environment)
            for way in torch_ways(gpu=False)
            if way in (EAGER, COMPILED)
        }
        compare(f"{size:5d}", in_turn(ways, rounds), size, 0.0, None)


def config_of(name: str, batch: int) -> generator_settings.GeneratorSettings:
    """The settings of a generator's training with this batch; ImaGINator's are the narrow ones."""
    made = {"motiongan": motiongan.get_config, "renderer": renderer.get_config}.get(name)
    config = made() if made else imaginator.get_config("narrow")
    config.train.batch_size = batch
    return generator_settings.read(config)


def random_batch(name: str, size: int) -> dict[str, np.ndarray]:
    """As a training takes it; the time does not depend on the pixels."""
    rng = np.random.default_rng(0)
    labels = {"label": rng.integers(0, 6, size, dtype=np.int32), "index": np.arange(size, dtype=np.int32)}

    def images(*shape: int) -> np.ndarray:
        return rng.integers(0, 256, (size, *shape, 64, 64, 3), dtype=np.uint8)

    moving = np.float32(alignment.mean_shape() + rng.normal(0, 0.1, (size, 32, 68, 2)).cumsum(axis=1))
    if name == "motiongan":
        return labels | {"landmarks": moving}
    if name == "imaginator":
        return labels | {"identity": images(), "clip": images(32)}
    masks = np.ones((size, 64, 64), np.uint8)
    phases = np.ones(size, np.float32)
    frames = {"photo": images(), "high": images(), "points": moving[:, :2], "mask": masks}
    return labels | frames | {"phase": phases}


def our_steps(name: str, batch: int) -> Times:
    """Our training steps."""
    cpu.share_cores(batch)
    run = updates(generating.make(config_of(name, batch)), random_batch(name, batch), 1)
    return timed(run, REPEATS, device_memory)


def their_steps(batch: int, compiled: bool) -> Times:
    """PyTorch's, of ImaGINator."""
    import torch

    from benchmarks import torch_imaginator

    chosen, data = config_of("imaginator", batch), random_batch("imaginator", batch)
    training = torch_imaginator.Training(chosen.model, chosen.train.l1_weight, compiled)
    photo = torch.tensor(data["identity"]).permute(0, 3, 1, 2) / 127.5 - 1
    clip = torch.tensor(data["clip"]).permute(0, 4, 1, 2, 3) / 127.5 - 1
    labels = torch.nn.functional.one_hot(torch.tensor(data["label"]).long(), 6).float()
    return timed(lambda: training.step(photo, clip, labels).item(), REPEATS, peak_memory)


def parameters(abstract: dict) -> dict:
    """Small numbers as parameters: fresh ones would be a program to compile for each shape."""
    return jax.tree.map(lambda leaf: np.full(leaf.shape, 0.02, leaf.dtype), abstract)


def clip_and_motion() -> tuple[float, float]:
    """Seconds of a clip of 32 frames, and of its motion."""
    parts = [config_of(name, 1).to_dict() for name in ("motiongan", "renderer")]
    networks = [generator_settings.read_model(part) for part in parts]
    models = [(network, parameters(network.abstract())) for network in networks]
    model = learned.Learned(*models)
    face, points = random_batch("renderer", 1)["photo"][0], np.float32(alignment.mean_shape())
    key = jax.random.key(0)
    clip = seconds(lambda: model.of_face(face, points, "fear", 1.0, 32, 0))
    return clip, seconds(lambda: np.asarray(learned._moved(*model.motion, points[None], 2, 1.0, key)))
