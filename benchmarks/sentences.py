"""How often a checkpoint finds the piece behind [MASK] in a sentence that stands alone.

    python benchmarks/sentences.py CHECKPOINT STORE

Held-out masked accuracy is of rows of 128 tokens, where the sentences around help; a user of `kbert
fill-mask` writes one sentence. Here one piece, drawn at random, is masked in each of 2,000 held-out
sentences of 8 to 24 pieces: how often is it the first guess, or one of three?
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


def ranks(checkpoint, sentences: list[np.ndarray]) -> np.ndarray:
    """How many pieces are likelier than the right one, (sentences,)."""
    tokenizer, draws = checkpoint.tokenizer, np.random.default_rng(1)
    length, found = LONGEST + num_special_tokens(pair=False), []
    for first in range(0, len(sentences), BATCH_SIZE):
        some = sentences[first : first + BATCH_SIZE]
        packed = [
            pack_segments(sentence, None, length, tokenizer.cls_id, tokenizer.sep_id)[0]
            for sentence in some
        ]
        token_ids = pad_rows(packed, length, tokenizer.pad_id)
        padding_mask = pad_rows([np.ones_like(row) for row in packed], length)
        lengths = np.array([len(sentence) for sentence in some])
        masked = 1 + (draws.random(len(some)) * lengths).astype("int32")  # behind [CLS]
        rows = np.arange(len(some))
        right = token_ids[rows, masked]
        token_ids[rows, masked] = tokenizer.mask_id
        logits = checkpoint.model(
            {
                "token_ids": token_ids,
                "segment_ids": np.zeros_like(token_ids),
                "padding_mask": padding_mask,
                "mask_positions": masked[:, None],
                "cls_positions": np.zeros((len(some), 1), "int32"),
            },
            training=False,
        )["masked_lm"]
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
    found = ranks(checkpoint, draw_sentences(store, args.sentences))
    print(
        f"{len(found)} sentences: first {(found < 1).mean():.1%}, "
        f"of the first three {(found < 3).mean():.1%}"
    )


if __name__ == "__main__":
    main()
