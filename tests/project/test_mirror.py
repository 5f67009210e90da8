"""The tests mirror the tree: what tests a package lies where the package lies, under `tests/`."""

from __future__ import annotations

from pathlib import Path

from tests.project.tree import PACKAGES, ROOT

TESTS = ROOT / "tests"
MIRRORED = (*PACKAGES, "benchmarks")
# About no package: what deploys the target, whole programs against each other, and the project itself.
OTHERS = {"deploy", "end_to_end", "project"}


def files_under(package: str) -> list[Path]:
    return [path.relative_to(TESTS) for path in sorted((TESTS / package).rglob("test_*.py"))]


def is_package(path: Path) -> bool:
    return (ROOT / path / "__init__.py").is_file()


def test_every_test_lies_under_a_package_or_is_about_none() -> None:
    assert [str(path.name) for path in TESTS.glob("test_*.py")] == []
    folders = {path.relative_to(TESTS).parts[0] for path in TESTS.rglob("test_*.py")}
    assert folders == {*MIRRORED, *OTHERS}


def test_every_folder_of_tests_is_a_package() -> None:
    folders = {path.parent for package in MIRRORED for path in files_under(package)}
    assert [str(folder) for folder in sorted(folders) if not is_package(folder)] == []


def test_a_test_named_after_a_module_lies_where_the_module_lies() -> None:
    """`test_x.py` is about the module or package `x` beside it, or about what its folder's modules do together.

    In the second case it has a name of its own: were there an `x` elsewhere, people would look for its tests there.
    """
    astray = []
    for package in MIRRORED:
        for path in files_under(package):
            name = path.stem.removeprefix("test_")
            named = {module.relative_to(ROOT) for module in (ROOT / package).rglob(f"{name}.py")}
            named |= {inner.relative_to(ROOT) for inner in (ROOT / package).rglob(name) if is_package(inner)}
            if named and not named & {path.parent / f"{name}.py", path.parent / name, path.parent}:
                astray.append(f"{path} is not beside {', '.join(map(str, sorted(named)))}")
    assert astray == []
