"""The house: a room imports only from lower floors, and every file of the package is on a floor."""

import ast
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "facenhance_jax"
FLOORS = {
    0.0: "facenhance_jax data metrics errors",
    0.2: "pixels terminal hardware dlib_models metrics.weights media.drawing media.pictures",
    0.3: "media.video",
    0.4: "distributed diffusion checkpoints parallel media.reading media.writing",
    0.5: "compile_cache metrics.frames metrics.identity metrics.motion metrics.landmarks metrics.i3d",
    0.55: "metrics.fvd",
    0.6: "media",
    0.9: "data.stored data.framing",
    1.0: "unet expression sampler registration data.layout data.faces data.gaps data.splits data.face_shape data.looks",
    1.1: "data.acting data.features data.portrait data.openface data.tracking data.augmentation",
    1.2: "data.creases data.records data.generated",
    1.3: "data.stage",
    1.4: "data.pipeline",
    1.5: "data.synthetic data.clip_dataset",
    1.6: "data.mug_dataset_builder data.folder_dataset_builder",
    2.0: "denoiser",
    3.0: "objective state recurrence",
    3.5: "settings",
    4.0: "experiment",
    4.1: "runs",
    4.2: "runlog validation",
    4.6: "export",
    5.0: "training enhancer extraction tables",
    5.2: "clip_sets report.reading report.charts report.style",
    5.3: "methods scores",
    5.4: "results report.words report.pictures",
    5.6: "evaluation report.gallery",
    5.8: "report.page",
    6.0: "demonstration report",
    6.5: "cli",
}
FLOOR_OF = {room: floor for floor, rooms in FLOORS.items() for room in rooms.split()}


def rooms() -> dict[str, Path]:
    """Names without the package's own, such as data.faces; the package itself keeps its name."""
    names = {path: ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    return {name.removesuffix("__init__").rstrip(".") or PACKAGE.name: path for path, name in names.items()}


def imported(source: str, known: set[str]) -> set[str]:
    """The rooms that a file imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: write the import out from the package's name"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name.removeprefix(f"{PACKAGE.name}.") in known else node.module for name in whole}
    ours = {name for name in names if name.split(".")[0] == PACKAGE.name}
    return {name.removeprefix(f"{PACKAGE.name}.") for name in ours}


def test_every_file_is_on_a_floor():
    assert sorted(rooms().keys() - FLOOR_OF) == []


def test_rooms_import_only_from_lower_floors():
    known = rooms()
    upward = [
        f"{room} (floor {FLOOR_OF.get(room)}) imports {other} (floor {FLOOR_OF.get(other)})"
        for room, path in sorted(known.items())
        for other in sorted(imported(path.read_text(), known.keys()))
        if FLOOR_OF.get(other, 9) >= FLOOR_OF.get(room, 9)
    ]
    assert upward == []


def test_an_upward_import_is_seen():
    source = "def late():\n    from facenhance_jax import cli\n    import facenhance_jax.data.faces\n"
    assert imported(source, {"cli", "data.faces"}) == {"cli", "data.faces"}
