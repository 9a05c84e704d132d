"""Training on your own face videos: `python launch/train.py --config=configs/folder.py --workdir=DIR`.

Data: `python launch/prepare.py --kind=folder --root=VIDEOS --output=data/folder`. VIDEOS holds one folder for each of
two or more people, with their clips and, if there is one, a photo neutral.png.
The network is that of configs/mug.py, with its 500,000 steps, memory (29 GB) and hours (4 on one H100). They were
computed, not measured.
"""

import ml_collections

from configs import mug


def get_config() -> ml_collections.ConfigDict:
    """`configs/mug.py` on the data set `folder`."""
    config = mug.get_config()
    config.data.directory = "data/folder"
    return config
