"""How often a checkpoint finds the piece behind [MASK] in a sentence that stands alone.

    python benchmarks/sentences.py CHECKPOINT STORE

Held-out masked accuracy is of rows of 128 tokens, where the sentences around help; a user of `kbert
fill-mask` writes one sentence. Here one piece, drawn at random, is masked in each of 2,000 held-out
sentences of 8 to 24 pieces: how often is it the first guess, or one of three?

And how often with the whole sentence beside it, as the second text? What that gains is found by
attention to the same words elsewhere, which a model needs to compare two texts.
"""

import argparse

import numpy as np
from keras import ops

from kbert.checkpoints.directory import load
from kbert.corpus.store import TokenStore
from kbert.text.segments import num_special_tokens, pack_segments, pad_rows

SHORTEST, LONGEST = 8, 24  # pieces of a sentence
BATCH_SIZE = 64


def draw_sentences(store: TokenStore, count: int) -> list[np.ndarray]:
    """Token ids of held-out sentences, the same ones in every run."""
    split = store["validation"]
    sizes = np.diff(split.sentences)
    fitting = np.flatnonzero((sizes >= SHORTEST) & (sizes <= LONGEST))
    chosen = np.random.default_rng(0).permutation(fitting)[:count]
    spans = zip(split.sentences[chosen], split.sentences[chosen + 1], strict=True)
    return [np.array(split.tokens[start:end]) for start, end in spans]


def ranks(checkpoint, sentences: list[np.ndarray], beside: bool) -> np.ndarray:
    """How many pieces are likelier than the right one, (sentences,).

    `beside`: with the whole sentence as second text.
    """
    tokenizer, draws = checkpoint.tokenizer, np.random.default_rng(1)
    length, found = (1 + beside) * LONGEST + num_special_tokens(pair=beside), []
    for first in range(0, len(sentences), BATCH_SIZE):
        some = sentences[first : first + BATCH_SIZE]
        ids, segments = zip(
            *(
                pack_segments(s, s if beside else None, length, tokenizer.cls_id, tokenizer.sep_id)
                for s in some
            ),
            strict=True,
        )
        token_ids = pad_rows(ids, length, tokenizer.pad_id)
        lengths = np.array([len(sentence) for sentence in some])
        masked = 1 + (draws.random(len(some)) * lengths).astype("int32")  # behind [CLS]
        rows = np.arange(len(some))
        right = token_ids[rows, masked]
        token_ids[rows, masked] = tokenizer.mask_id
        inputs = {
            "token_ids": token_ids,
            "segment_ids": pad_rows(segments, length),
            "padding_mask": pad_rows([np.ones_like(row) for row in ids], length),
            "mask_positions": masked[:, None],
            "cls_positions": np.zeros((len(some), 1), "int32"),
        }
        read = {tensor.name: inputs[tensor.name] for tensor in checkpoint.model.inputs}
        logits = checkpoint.model(read, training=False)["masked_lm"]
        scores = ops.convert_to_numpy(logits)[:, 0]  # (sentences, vocabulary)
        found.append((scores > scores[rows, right][:, None]).sum(axis=1))
    return np.concatenate(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint")
    parser.add_argument("store")
    parser.add_argument("--sentences", type=int, default=2000)
    args = parser.parse_args()
    store, checkpoint = TokenStore(args.store), load(args.checkpoint)
    if checkpoint.tokenizer.vocabulary != store.vocabulary:
        raise SystemExit("The checkpoint and the store must have the same vocabulary.")
    sentences = draw_sentences(store, args.sentences)
    for form, beside in (("alone", False), ("beside the whole one", True)):
        found = ranks(checkpoint, sentences, beside)
        print(
            f"{len(found)} sentences {form}: first {(found < 1).mean():.1%}, "
            f"of the first three {(found < 3).mean():.1%}"
        )


if __name__ == "__main__":
    main()
