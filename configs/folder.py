"""Training on your own face videos: `python launch/train.py --config=configs/folder.py --workdir=DIR`.

Data: `python launch/prepare.py --kind=folder --root=VIDEOS --output=data/folder`, where VIDEOS holds a folder for each
person, with their clips and perhaps neutral.png in it. Two people or more.
The network is that of configs/mug.py, for GPUs; no time of our own has been measured for it yet.
"""

import ml_collections

from configs import mug


def get_config() -> ml_collections.ConfigDict:
    """`configs/mug.py` on the data set `folder`."""
    config = mug.get_config()
    config.data.directory = "data/folder"
    return config
