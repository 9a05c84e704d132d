"""dlib and the files of its trained models, both from the extra [faces], and looked up only when needed."""

import importlib.util
from pathlib import Path
from types import ModuleType

from facenhance_jax.messages import InputError

PACKAGE = "face_recognition_models"


def library(purpose: str) -> ModuleType:
    """dlib itself. Raises InputError if it is not installed; the message begins with `purpose` ("finding a face")."""
    try:
        import dlib
    except ImportError:
        raise _absent(purpose, "dlib") from None
    return dlib


def model_file(purpose: str, name: str) -> Path:
    """The path of the model `name`. Raises InputError as `library` does."""
    # Not imported, because that needs an old setuptools; only the package's files are used.
    package = importlib.util.find_spec(PACKAGE)
    if package is None:
        raise _absent(purpose, PACKAGE)
    return Path(package.submodule_search_locations[0]) / "models" / name


def _absent(purpose: str, what: str) -> InputError:
    return InputError(f'{purpose} needs {what}, which is not here; pip install "facenhance-jax[faces]"')
