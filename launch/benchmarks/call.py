"""One call of the network, the expression encoder included: ours, and PyTorch's on the same numbers."""

import functools
import itertools

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from benchmarks.inference import flops_of_call
from benchmarks.measuring import (
    COMPARISON,
    Times,
    apart,
    compare,
    device,
    device_memory,
    in_turn,
    peak_memory,
    threads,
    times,
)
from benchmarks.networks import network, parameters
from benchmarks.train import COMPILED, OURS, random_batch, torch_memory, torch_ways
from facenhance_jax import settings
from facenhance_jax.inference.enhancer import PACKAGED_MODEL
from facenhance_jax.network.pixels import to_signal
from facenhance_jax.runs import checkpoints

CALLS, REPEATS = (
    10,
    5,
)  # calls in a row, each fed the output of the one before, are timed together; repeats in a process
TIMESTEP = 500


def call(networks: list[str] | None = None, clips: list[int] | None = None, rounds: int = 3) -> None:
    """Prints the table of `--what=call`: without `networks` and `clips`, the released model, for one image."""
    here = apart(device)
    gpu = here["platform"] == "gpu"
    print(f"network calls on {here['kind']}, {threads()} cores, {rounds} processes each, in turn")
    print(f"network   dtype    clips {COMPARISON}")
    for name, count in itertools.product(networks or ["released"], clips or [1]):
        config = network(name, here["platform"])
        ways = {OURS: functools.partial(apart, ours, name, config, count)} | {
            way: functools.partial(apart, theirs, name, config, count, gpu, way == COMPILED, JAX_PLATFORMS="cpu")
            for way in torch_ways(gpu)
        }
        needed = count * apart(flops_of_call, config, JAX_PLATFORMS="cpu") if here["peak"] else 0
        compare(f"{name:9s} {config.model.dtype:8s} {count:5d}", in_turn(ways, rounds), count, needed, here["peak"])


def inputs(name: str, config: ml_collections.ConfigDict, count: int) -> tuple[dict, dict[str, np.ndarray]]:
    """The parameters (the released model's own, else random ones), and images in [-1, 1] with their place."""
    denoiser, batch = settings.read_model(config).denoiser(), random_batch(config, count)
    released = name == "released"
    params = checkpoints.load_params(PACKAGED_MODEL, denoiser.abstract_params()) if released else parameters(denoiser)
    images = {field: np.asarray(to_signal(batch[field])) for field in ("high", "identity", "previous", "low")}
    return params, images | {"place": batch["place"]}


def our_call(config: ml_collections.ConfigDict):
    """(parameters, x_t, what is given) -> the velocity."""
    denoiser = settings.read_model(config).denoiser()

    @jax.jit
    def velocity(params, x, given):
        expression = denoiser.encode(params, given["low"], given["identity"], given["place"])
        conditions = denoiser.conditions(params, given["identity"], given["previous"], expression)
        return denoiser.velocity(params, x, jnp.full(len(x), TIMESTEP), conditions)

    return velocity


def their_call(config: ml_collections.ConfigDict, on: str, compiled: bool):
    """The same in PyTorch."""
    import torch

    from benchmarks import torch_unet

    denoiser = settings.read_model(config).denoiser()
    phi, bfloat16 = float(denoiser.schedule.phi[TIMESTEP]), config.model.dtype == "bfloat16"

    def velocity(params, x, given):
        timestep = torch.full((len(x),), TIMESTEP, device=on)
        with torch.autocast(on, torch.bfloat16, enabled=bfloat16):
            return torch_unet.velocity(params, denoiser.config, x, timestep, torch.full_like(x[:, 0, 0, 0], phi), given)

    return torch.no_grad()(torch.compile(velocity) if compiled else velocity)


def ours(name: str, config: ml_collections.ConfigDict, count: int) -> Times:
    """Our calls."""
    params, given = jax.device_put(inputs(name, config, count))
    velocity = our_call(config)

    def run() -> None:
        x = given["high"]
        for _ in range(CALLS):
            x = velocity(params, x, given)
        x.block_until_ready()

    return times(run, REPEATS, device_memory, CALLS)


def theirs(name: str, config: ml_collections.ConfigDict, count: int, gpu: bool, compiled: bool) -> Times:
    """PyTorch's calls."""
    import torch

    from benchmarks import torch_unet

    torch.backends.cudnn.benchmark = True
    on = "cuda" if gpu else "cpu"
    params, given = inputs(name, config, count)
    params, given = torch_unet.converted(params, on), {k: torch_unet.tensor(v, on) for k, v in given.items()}
    velocity = their_call(config, on, compiled)

    def run() -> None:
        x = given["high"]
        for _ in range(CALLS):
            x = velocity(params, x, given)
        x.sum().item()  # waits for it

    return times(run, REPEATS, torch_memory if gpu else peak_memory, CALLS)
