"""Measures speed and memory, as ratios within one run: `python launch/benchmark.py [--what=NAME [FILTERS]]`.

train     a training step, and PyTorch's if it is installed: ms, samples/s, share of the device's peak, memory
call      a call of the network, and PyTorch's: the same
sample    clips one by one and several at once: ms a network call, frames/s, share of the device's peak, memory
enhance   ms a network call, frames/s at 4 and 8 steps, and the network's share of the time
start     how long the command takes for one frame, the first and the second time (which finds compiled programs)
memory    the peak of the imports, of enhancing 64 and 640 frames, and of training configs/demo.py at batch 4
draw      drawn people's frames/s on one core
data      training samples/s, and as a share of a loop that only decodes the same images
ceilings  what the device could do at best: GB/s copied, TFLOP/s of a product and of a convolution
profile   the largest items of a training step, its number of kernels, and the time in which the device works
counts    the kernels, bytes and FLOPs of a training step and of a network call, counted without running them, as
          compiled for the CPU or for a GPU (--target=h100)
generators  the light generators: a clip, and training steps beside PyTorch's
prepare   frames/s of preparing photographs of MUG's size, and as a share of only decoding them; the peak memory
"""

import argparse
import inspect

import checkout  # noqa: F401  (puts the checkout on sys.path)


def main() -> None:
    # Not at the top: each process that `measuring.apart` starts imports this file, and loads only what it needs.
    from benchmarks import call, counts, data, generators, inference, limits, train
    from benchmarks.networks import NETWORKS

    from facenhance_jax.messages import refusing

    # The first five leave the device to other processes, so they come before the others.
    tables = [train.train, call.call, limits.profile, counts.counts, inference.sample, inference.enhance]
    tables += [inference.start, inference.memory, limits.ceilings, data.draw, data.data, data.prepare]
    tables += [generators.generators]
    tables = {table.__name__: table for table in tables}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=tables, help="one table; without it, all")
    for name, what in {"batches": "of a training step", "clips": "at once", "steps": "of a frame"}.items():
        parser.add_argument(f"--{name}", type=numbers, help=f"{name} {what}, such as 1,16")
    parser.add_argument("--networks", type=lambda text: text.split(","), help=f"some of {', '.join(NETWORKS)}")
    parser.add_argument("--target", choices=["cpu", "h100"], help="what to compile for (counts); it need not be there")
    parser.add_argument("--rounds", type=int, help="processes of each way to do the same; 3 unless given")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    what = given.pop("what", None)
    if unknown := set(given.get("networks", ())) - set(NETWORKS):
        parser.error(f"--networks: {sorted(unknown)[0]!r} is none of {', '.join(NETWORKS)}")
    if given and not what:
        parser.error(f"--{next(iter(given))} needs --what, the table that it is for")
    if foreign := set(given) - set(inspect.signature(tables[what]).parameters if what else ()):
        parser.error(f"--{sorted(foreign)[0]} is not for --what={what}")
    with refusing():
        for name in [what] if what else tables:
            tables[name](**given)


def numbers(text: str) -> list[int]:
    """Positive integers with commas between them."""
    found = [int(number) for number in text.split(",")]
    if min(found) < 1:
        raise ValueError
    return found


if __name__ == "__main__":
    main()
