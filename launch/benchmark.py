"""Measures speed and memory, as ratios within one run: `python launch/benchmark.py [--what=NAME]`.

train     a training step, and PyTorch's if it is installed: ms, samples/s, share of the device's peak, memory
sample    clips one by one and several at once: ms a network call, frames/s, share of the device's peak, memory
enhance   ms a network call, frames/s at 4 and 8 steps, and the network's share of the time
start     how long the command takes for one frame, the first and the second time (which finds compiled programs)
memory    the peak of the imports, of enhancing 64 and 640 frames, and of training configs/demo.py at batch 4
draw      drawn people's frames/s on one core
data      training samples/s, and as a share of a loop that only decodes the same images
prepare   frames/s of preparing photographs of MUG's size, and as a share of only decoding them; the peak memory
"""

import argparse

import checkout  # noqa: F401  (puts the checkout on sys.path)


def main() -> None:
    # Not at the top: each process that `measuring.apart` starts imports this file, and loads only what it needs.
    from benchmarks import data, inference, train

    # The first two leave the device to other processes, so they come before the others.
    tables = [train.train, inference.sample, inference.enhance, inference.start, inference.memory]
    tables = {table.__name__: table for table in [*tables, data.draw, data.data, data.prepare]}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=tables, help="one table; without it, all")
    what = parser.parse_args().what
    for name in [what] if what else tables:
        tables[name]()


if __name__ == "__main__":
    main()
