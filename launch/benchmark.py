"""Measures speed and memory, as ratios within one run: `python launch/benchmark.py [--what=NAME]`.

enhance   ms a network call, frames/s at 4 and 8 steps, and the network's share of the time
start     how long a first and a second process take to the first frames (the second finds compiled programs)
memory    the peak of `.stream` over 64 and over 640 frames
draw      drawn people's frames/s on one core
data      training samples/s, beside those of a loop that only decodes the same images
"""

import argparse
import sys
from pathlib import Path

CHECKOUT = str(Path(__file__).resolve().parent.parent)
if CHECKOUT not in sys.path:
    sys.path.insert(0, CHECKOUT)  # runs where the package is not installed, too

from benchmarks import data, inference  # noqa: E402

TABLES = {
    "enhance": inference.enhance,
    "start": inference.start,
    "memory": inference.memory,
    "draw": data.draw,
    "data": data.data,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--what", choices=TABLES, help="one table; without it, all")
    what = parser.parse_args().what
    for name in [what] if what else TABLES:
        TABLES[name]()


if __name__ == "__main__":
    main()
