"""Measures speed and memory, as ratios within one run: `python launch/benchmark.py [--what=NAME]`.

train     a training step beside PyTorch's, where it is installed: ms, samples/s, share of the device's peak, memory
sample    clips one by one and abreast: ms a network call, frames/s, share of the device's peak, memory
enhance   ms a network call, frames/s at 4 and 8 steps, and the network's share of the time
start     how long a first and a second process take to the first frames (the second finds compiled programs)
memory    the peak of `.stream` over 64 and over 640 frames
draw      drawn people's frames/s on one core
data      training samples/s, beside those of a loop that only decodes the same images
prepare   frames/s of preparing photographs of MUG's size, and of only decoding them; the peak memory
extract   frames/s of finding a face in a video, following it and cutting it out, on one core
metrics   ms I3D takes for a clip, beside PyTorch's, where it is installed, and the peak of a comparison by FVD
"""

import argparse

import checkout  # noqa: F401  (puts the checkout on sys.path)
from benchmarks import data, inference, metrics, preparing, sample, train

TABLES = {
    # First, while this process holds no device: each row of theirs is measured in another.
    "train": train.train,
    "sample": sample.sample,
    "enhance": inference.enhance,
    "start": inference.start,
    "memory": inference.memory,
    "draw": data.draw,
    "data": data.data,
    "prepare": preparing.prepare,
    "extract": preparing.extract,
    "metrics": metrics.metrics,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=TABLES, help="one table; without it, all")
    what = parser.parse_args().what
    for name in [what] if what else TABLES:
        TABLES[name]()


if __name__ == "__main__":
    main()
