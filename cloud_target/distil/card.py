"""The card of a draft: what it was made from, by which command, on which text, and what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cloud_target.distil.choice import Choice
from cloud_target.distil.settings import Settings
from cloud_target.distil.table import Line, Measured, as_markdown


def card(
    settings: Settings,
    choice: Choice | None,
    identity: Mapping[str, str],
    corpora: Mapping[str, str],
    parameters: int,
    lines: Sequence[Line],
    measured: Measured,
) -> str:
    """The page, in Markdown.

    Args:
        settings: of the run.
        choice: of layers, if some were left out.
        identity: digest of each model, by the option that gave it.
        corpora: digest of each text file, by its name.
        parameters: of the draft.
        lines: of the table.
        measured: what holds for all of them.
    """
    target, start = (str(name).rstrip("/").rsplit("/", 1)[-1] for name in (settings.target, settings.start or ""))
    made = f"`{start or target}`"
    if choice:
        kept = ", ".join(map(str, choice.kept))
        made += (
            f" with {len(choice.kept)} of its {len(choice.kept) + len(choice.gone)} layers (counted from 0: {kept}): "
            "the others were left out one by one, each time the one whose absence moved the output least (KL, nats a "
            f"token, {choice.costs[-1]:.2f} in the end, before training)"
        )
    if settings.hidden:
        made += (
            f", its residual stream narrowed to the {settings.hidden} directions that carried most, with the heads and "
            "neurons that added most to those"
        )
    files = [f"- {name} (SHA-256 {digest})" for name, digest in corpora.items()]
    named = [f"- `{option}`: fingerprint {digest}" for option, digest in identity.items()]
    wrote = "in conversations that it made up" if settings.chat else "after openings of a corpus"
    text = f"what the target wrote {wrote} ({settings.own_tokens:,} tokens)"
    if settings.corpus:
        text += f" and on a corpus (up to {settings.corpus_tokens:,}; a fifth of it was left out)"
    return "\n".join(
        [
            f"# A draft for {target}",
            "",
            f"Made from {made}, {parameters / 1e6:.1f} M parameters; distilled on {text}, by KL(p || q) + TV at "
            "temperature 1 and TV at temperature 0.7. The licences of models and of the texts hold for it too.",
            "",
            "Use it with `cloud-target prepare --draft` or `cloud-target export --draft`.",
            "",
            "## How it was made",
            "",
            f"    {settings.command(shown=True)}",
            "",
            *named,
            *files,
            "",
            "## Agreement with the target against training",
            "",
            as_markdown(lines, measured),
            "",
        ]
    )
