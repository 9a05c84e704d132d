"""dlib and the files of its trained models, both of the extra [faces]; neither is looked for before it is needed."""

import importlib.util
from pathlib import Path
from types import ModuleType

from facenhance_jax.messages import InputError

PACKAGE = "face_recognition_models"


def library(purpose: str) -> ModuleType:
    """dlib itself. Raises InputError, which begins with the purpose ("finding a face"), where it is not installed."""
    try:
        import dlib
    except ImportError:
        raise _absent(purpose, "dlib") from None
    return dlib


def model_file(purpose: str, name: str) -> Path:
    """Where the model's file lies. Raises InputError, which begins with the purpose, where it is not installed."""
    # The package's own code asks for a setuptools of old when imported; only its files are of use.
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        raise _absent(purpose, PACKAGE)
    return Path(package.submodule_search_locations[0]) / "models" / name


def _absent(purpose: str, what: str) -> InputError:
    return InputError(f'{purpose} needs {what}, which is not here; pip install "facenhance-jax[faces]"')
