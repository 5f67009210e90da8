"""Whether what an extra of this installation asks for is here, in versions that it works with."""

from __future__ import annotations

import platform
from collections.abc import Collection, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from shared.findings import Finding, fail, ok, warn
from shared.version import DISTRIBUTION


def check_versions(extra: str, shown: Collection[str]) -> Iterator[Finding]:
    """Every package that a side needs.

    Args:
        extra: of the distribution, which names them.
        shown: those whose versions are told.
    """
    try:
        asked = [Requirement(line) for line in requires(DISTRIBUTION) or ()]
    except PackageNotFoundError:
        yield warn("versions", "Tandem runs without being installed, so nobody knows which versions it needs")
        return
    needed = [r for r in asked if r.marker is None or r.marker.evaluate({"extra": extra})]
    problems, found = [], {}
    for requirement in needed:
        try:
            found[requirement.name] = version(requirement.name)
        except PackageNotFoundError:
            problems.append(f"{requirement.name} is missing")
            continue
        if not requirement.specifier.contains(found[requirement.name], prereleases=True):
            problems.append(f"{requirement.name} {found[requirement.name]} is not {requirement.specifier}")
    python, ours = platform.python_version(), version(DISTRIBUTION)
    values = {"tandem": ours, "python": python, **found}
    if problems:
        sentence = f"{'; '.join(problems)}; install again: pip install '{DISTRIBUTION}[{extra}]'"
        yield fail("versions", sentence, **values)
    else:
        main = ", ".join(f"{name} {found[name]}" for name in shown if name in found)
        yield ok("versions", f"Tandem {ours} on Python {python}, {main}", **values)
