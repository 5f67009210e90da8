"""Adding the verifier of a domain to a bundle: all of it, or nothing. Whatever else is there stays byte for byte."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cloud_target.export.bundle import Target, check_place, publish
from cloud_target.export.draft import is_bundle
from cloud_target.export.head import read_head, take_several
from cloud_target.export.writing import write_model
from shared.domains import MOST_DOMAINS, NAMING, is_domain, verifier_file
from shared.errors import InputError
from shared.manifest import Domain, Manifest, read_manifest, write_manifest


def check_domain(bundle: Path, name: str) -> Manifest:
    """See that a bundle can have a verifier for a domain; returns what it is now.

    Raises:
        InputError: no name for a domain, no bundle, or one that has no room for another domain.
        BundleError: the bundle is damaged.
    """
    if not is_domain(name):
        raise InputError(f"a domain's name is {NAMING}; {name!r} is none, so give --domain another one")
    if not is_bundle(bundle):
        raise InputError(f"there is no bundle at {bundle} to add a domain to; make it first, without --domain")
    manifest = read_manifest(bundle)
    others = [domain.name for domain in manifest.domains if domain.name != name]
    if len(others) >= MOST_DOMAINS:
        raise InputError(
            f"the bundle {bundle} has verifiers for {', '.join(others)}, and no room for more than {MOST_DOMAINS}; "
            "renew one of these, or begin another bundle"
        )
    return manifest


def check_target(manifest: Manifest, target: Target) -> None:
    """See that a bundle was made for a target: its verifiers all doubt for the same one.

    Raises:
        InputError: it was made for another one.
    """
    if manifest.target_fingerprint != target.fingerprint:
        raise InputError(
            f"the bundle {manifest.name} was made for {manifest.target_name} "
            f"({manifest.target_fingerprint[:8] or 'none'}), and this target is {target.name} "
            f"({target.fingerprint[:8]}); give that one as --target, or make a bundle for this one first, without "
            "--domain"
        )
    if manifest.target_dtype != target.dtype:
        raise InputError(
            f"the bundle {manifest.name} was made for {manifest.target_name} in {manifest.target_dtype}, and this "
            f"verifier would be for {target.dtype}; give --target-dtype {manifest.target_dtype}, or leave it out"
        )


def add_verifier(bundle: Path, out: Path, domain: Domain, head: Path, pages: Mapping[str, str]) -> Manifest:
    """Add the verifier of a domain, or put it in the place of the one that is there; returns the new manifest.

    Args:
        bundle: to which it is added.
        out: where the result is to be, which may be the same directory; an older bundle there is replaced.
        domain: its tables.
        head: made by `export_head`.
        pages: further text files for people, by name.

    Raises:
        InputError: it does not fit the bundle, or cannot be written; what was there is as it was.
    """
    check_place(out)
    manifest = check_domain(bundle, domain.name)
    model = take_several(read_head(head, manifest.draft.hidden))
    kept = [one for one in manifest.domains if one.name != domain.name]
    manifest = replace(manifest, domains=sorted([*kept, domain], key=lambda one: one.name))
    scratch = out.with_name(f".{out.name}.{os.getpid()}.new")
    try:
        scratch.mkdir(parents=True)
        for path in bundle.iterdir():
            if path.is_file():
                shutil.copyfile(path, scratch / path.name)
        write_model(model, scratch / verifier_file(domain.name))
        for page, text in pages.items():
            (scratch / page).write_text(text, encoding="utf-8")
        write_manifest(scratch, manifest)
        publish(scratch, out)
    except OSError as error:
        raise InputError(f"cannot write the bundle {out} ({error}); what was there is as it was") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return read_manifest(out)
