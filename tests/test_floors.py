"""The layers of the package: a folder imports only from those above it in the list, and there are no import cycles."""

import ast
import graphlib
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "facenhance_jax"
FLOORS = [  # from the ground up
    "messages",
    "diffusion",
    "media",
    "network",
    "faces",
    "settings",
    "data.synthetic",
    "data",
    "runs",
    "generators",
    "inference",
    "evaluation.metrics",
    "evaluation",
    "evaluation.report",
    "training",
    "web",
    "commands",
    "cli",
]


def files() -> dict[str, Path]:
    """Dotted names without the package's own, such as data.layout; a folder's __init__.py has the folder's name."""
    names = {path: path.relative_to(PACKAGE).with_suffix("").parts for path in PACKAGE.rglob("*.py")}
    return {".".join(parts).removesuffix("__init__").rstrip("."): path for path, parts in names.items()}


def imported(source: str, known: set[str]) -> set[str]:
    """The files of the package that a source imports, at its top or inside a function."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"line {node.lineno}: write the import out from the package's name"
            whole = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= {name if name.removeprefix(f"{PACKAGE.name}.") in known else node.module for name in whole}
    ours = {name.removeprefix(f"{PACKAGE.name}.") for name in names if name.startswith(f"{PACKAGE.name}.")}
    return ours & known


def floor(name: str) -> int:
    """The index in FLOORS of a file's folder, or of the file itself."""
    found = [index for index, folder in enumerate(FLOORS) if name == folder or name.startswith(f"{folder}.")]
    assert found, f"{name}: not on a floor; put it into a folder of the list"
    return max(found, key=lambda index: len(FLOORS[index]))


def graph() -> dict[str, set[str]]:
    """{file: files that it imports}, without the package's own __init__.py, which only re-exports."""
    known = files()
    return {name: imported(path.read_text(), known.keys()) for name, path in known.items() if name}


def test_a_folder_imports_only_from_those_above_it():
    upward = [
        f"{name} imports {other}"
        for name, others in sorted(graph().items())
        for other in sorted(others)
        if floor(other) > floor(name)
    ]
    assert upward == []


def test_there_are_no_import_cycles():
    graphlib.TopologicalSorter(graph()).prepare()  # raises CycleError


def test_the_root_has_few_names():
    names = {path.stem for path in PACKAGE.iterdir() if not path.name.startswith("__")}
    assert len(names) <= 16, sorted(names)


def test_an_upward_import_and_a_cycle_would_be_found():
    source = "def late():\n    from facenhance_jax import cli\n    import facenhance_jax.data.layout\n"
    assert imported(source, {"cli", "data.layout"}) == {"cli", "data.layout"}
    assert floor("cli") > floor("data.layout") > floor("data.synthetic.acting")
