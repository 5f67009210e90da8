"""Whether a model can be served: by what it says about itself, and by trying.

The cache needs a model that remembers nothing but keys and values, and that takes positions and a mask from outside.
Architectures that say otherwise are refused by name; all others must show it. The truth is the model's own eager pass
without a cache, over a text that is longer than every window; each way of running passes is held against it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import NoReturn

import torch
from transformers import PreTrainedModel

from cloud_target.engine.hf import packed
from cloud_target.engine.hf.cache import StoreCache
from cloud_target.engine.hf.costs import Costs
from cloud_target.engine.hf.passes import PackedPasses, PaddedPasses, Passes, Text
from cloud_target.engine.hf.switches import LEAST, trial_length
from cloud_target.engine.hf.trial import TOLERANCE, alone, distance, plain, trial_text
from cloud_target.engine.hf.typed import cache_argument
from shared.errors import InputError, first_line

# Kinds of layers whose memory can be cut back.
_TRIMMABLE = {"full_attention", "sliding_attention"}
# BigBird's attention in texts beyond some multiple of its blocks, until a shorter text comes and changes it for good.
_SPARSE = "block_sparse"
# Tokens of a trial's last part, of the wrong turn before it, and of the text beside it.
_LATE, _WRONG, _BESIDE = 24, 8, 16


def refuse_unfit(model: PreTrainedModel) -> None:
    """Refuse models whose memory cannot be cut back to an earlier position, or that count positions by themselves.

    Raises:
        InputError: with the reason.
    """
    refuse_untrimmable(model)
    if cache_argument(model) is None:
        _refuse(model, "it keeps no keys and values of a text")
    if "position_ids" not in inspect.signature(model.forward).parameters:
        _refuse(model, "it counts positions by itself")


def refuse_untrimmable(model: PreTrainedModel, role: str = "target") -> None:
    """Refuse models that remember something else than keys and values, or look at some of them.

    Args:
        role: what it was to be, for people.

    Raises:
        InputError: with the reason.
    """
    config = model.config.get_text_config()
    kinds = set(getattr(config, "layer_types", None) or ()) - _TRIMMABLE
    if getattr(model, "_is_stateful", False):
        _refuse(model, "it keeps a recurrent state, which cannot be cut back to an earlier position", role)
    if kinds:
        _refuse(model, f"it has layers of kind {', '.join(sorted(kinds))}, whose memory cannot be cut back", role)
    if getattr(config, "attention_type", None) == _SPARSE:
        why = f"it attends to parts of a long text only, drawn by chance (attention_type {_SPARSE})"
        _refuse(model, why, role, "choose another, or write original_full in config.json if it shall attend to all")


def choose_passes(model: PreTrainedModel, cache: StoreCache, vocabulary: int, context: int) -> Passes:
    """The first way to run the model that computes what the checkpoint does: packed, padded, or padded and eager.

    Args:
        model: its attention is set to what the passes need.
        cache: empty; it is empty afterwards.
        vocabulary: ids are below it.
        context: longest text in tokens.

    Raises:
        InputError: the model's own pass gives no truth, or no way agrees with it.
    """
    usual = model.config._attn_implementation
    longest = trial_length(model.config, context, model.num_parameters(), model.device)
    lengths = sorted({min(LEAST, context), longest})
    eager = plain(model)
    truths = _truths(eager, trial_text(longest, vocabulary), lengths, vocabulary)
    trouble = None
    for passes in _ways(model, eager, usual, cache, vocabulary, context):
        trouble = next(filter(None, (_trouble(passes, *truth, truths[0][1]) for truth in truths)), None)
        if trouble is None:
            passes.branches = passes.branches and _reads_trees(passes, *truths[-1])
            return passes
    _refuse(model, str(trouble))


def _truths(
    eager: PreTrainedModel, text: list[int], lengths: list[int], vocabulary: int
) -> list[tuple[list[int], torch.Tensor]]:
    """Texts of these lengths, and the truth of each.

    Raises:
        InputError: the model does not run, gives no numbers, or is not causal.
    """
    half = max(lengths[0] // 2, 1)
    try:
        begin = alone(eager, text[:half], vocabulary)
        truths = [(text[:length], alone(eager, text[:length], vocabulary)) for length in lengths]
    except Exception as error:
        _refuse(eager, f"it does not run ({type(error).__name__}: {first_line(error)})", then="take another model")
    if not all(torch.isfinite(truth).all() for _, truth in truths):
        narrow = str(eager.dtype).removeprefix("torch.")
        then = "get it again, whole" if eager.dtype == torch.float32 else "give --dtype float32"
        _refuse(eager, f"its logits in {narrow} are not numbers", then=then)
    if not distance(begin, truths[0][1][:half]) <= TOLERANCE.get(eager.dtype, 0.05):
        _refuse(
            eager,
            "what it says of a text's beginning depends on what comes after, so it is not made to write",
            then="take a decoder",
        )
    return truths


def _ways(
    model: PreTrainedModel, eager: PreTrainedModel, usual: str, cache: StoreCache, vocabulary: int, context: int
) -> Iterator[Passes]:
    """The ways to run passes, the fastest first; the model's attention is set as each is asked for."""
    if getattr(model, "_supports_attention_backend", False):
        model.set_attn_implementation(packed.NAME)
        yield PackedPasses(model, cache, vocabulary, context)
    elif usual != "eager":
        if eager is model:
            model.set_attn_implementation(usual)
        yield PaddedPasses(model, cache, vocabulary)
    yield PaddedPasses(plain(model) if eager is model else eager, cache, vocabulary)


def _trouble(passes: Passes, tokens: list[int], truth: torch.Tensor, begin: torch.Tensor) -> str | None:
    """Why the model may not run in this way, None if it may.

    Args:
        tokens: a text.
        truth: what comes after its last tokens.
        begin: what comes after its first ones.
    """
    found = 0.0
    try:
        # Texts that share a call are padded to one size; apart, each is read as it is.
        for passes.costs in (Costs(call=1.0), Costs(call=0.0)):
            whole, beside = _read_with_detours(passes, tokens, len(truth))
            found = max(found, distance(whole, truth), distance(beside, begin[: len(beside)]))
    except InputError:
        raise
    except Exception as error:
        return f"it does not run with a cache of ours ({type(error).__name__}: {first_line(error)})"
    finally:
        for slot in (0, 1):
            passes.trim(slot)
    if not found <= TOLERANCE.get(passes.model.dtype, 0.05):
        return (
            f"with a cache it computes something else than the checkpoint by itself (total variation {found:.1e} at "
            f"a text of {len(tokens)} tokens)"
        )
    return None


def _read_with_detours(passes: Passes, tokens: list[int], keep: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Read a text in parts, with a wrong turn that is cut back, its own beginning beside it as another text, and its
    last token alone; the logits of its last `keep` positions, and those of the text beside it."""
    late = min(_LATE, max(len(tokens) // 2, 1))
    half = len(tokens) - late
    kept, wrong = max(keep - late, 0), [tokens[-1]] * min(_WRONG, late)
    begin = passes.run([Text(1, 0, tokens[:half] + wrong)], [kept + len(wrong)])[:kept]
    store = passes.store
    room = -(-len(tokens) // store.block) * store.block + store.block <= store.capacity
    texts = [Text(0, 0, tokens[: _BESIDE if room else 0]), Text(1, half, tokens[half:-1])]
    texts = [text for text in texts if text.tokens]
    middle = passes.run(texts, [len(text.tokens) for text in texts]) if texts else begin[:0]
    beside, middle = middle[: -(late - 1) or None], middle[len(middle) - (late - 1) :]
    last = passes.run([Text(1, len(tokens) - 1, tokens[-1:])], [1])
    return torch.cat((begin, middle, last))[-keep:], beside if room else last[:0]


def _reads_trees(passes: Passes, tokens: list[int], truth: torch.Tensor) -> bool:
    """Whether new tokens may be a tree: of a text's last tokens but some, each is read beside a wrong one, and then the
    next one behind the right ones alone."""
    late = min(_LATE, (len(tokens) - 1) // 4)
    if late < 1:
        return False
    end = len(tokens) - late  # so that the wrong ones have room
    trunk = end - late - 1
    tree, follows = [tokens[trunk]], [-1]
    for right in tokens[trunk + 1 : end]:
        follows += [max(len(tree) - 1, 0)] * 2
        tree += [(right + 1) % passes.vocabulary, right]
    try:
        if trunk:
            passes.run([Text(0, 0, tokens[:trunk])], [1])
        beside = passes.run([Text(0, trunk, tree, follows)], [len(tree)])
        passes.store.follow(0, trunk + 1, range(trunk + 2, trunk + len(tree), 2))
        after = passes.run([Text(0, end, tokens[end : end + 1])], [1])
    except Exception:  # whatever a model makes of it: then it reads lines
        return False
    finally:
        passes.trim(0)
    found, first = torch.cat((beside[::2], after)), len(tokens) - len(truth)
    return distance(found, truth[trunk - first : end + 1 - first]) <= TOLERANCE.get(passes.model.dtype, 0.05)


def _refuse(
    model: PreTrainedModel, why: str, role: str = "target", then: str = "choose a plain attention model"
) -> NoReturn:
    raise InputError(f"{type(model).__name__} cannot be a {role}: {why}; {then}")
