"""Vectors of texts from an encoder.

    kbert embed CHECKPOINT texts.txt --output vectors.npy
    kbert embed CHECKPOINT reviews.tsv --text-column review --output vectors.jsonl
    kbert embed CHECKPOINT texts.txt --output projector     # tensorboard --logdir projector

A .txt file holds a text on each line; TSV, CSV and JSON lines have a text column. CHECKPOINT may
also be a folder of Hugging Face, sentence-transformers, Google or keras-hub. What the folder says
of pooling is the default, else the mean of the last layer.
"""

import sys

from .cli import add_batch_arguments, run_command


def add_arguments(parser):
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="any model with an encoder")
    parser.add_argument("file", metavar="FILE", help="the texts")
    parser.add_argument(
        "--output", required=True, help="NAME.npy, NAME.jsonl, or a folder for the projector"
    )
    parser.add_argument("--text-column", default="text", help="of a file that is not .txt")
    add_encoder_arguments(parser)


def add_encoder_arguments(parser):
    """The options of `kbert embed` and `kbert similarity`."""
    parser.add_argument(
        "--pooling",
        metavar="MODE[+MODE...]",
        help="of the tokens' vectors: mean, cls, max, mean_sqrt_length, weighted_mean or last; "
        "several are concatenated",
    )
    parser.add_argument(
        "--layers",
        type=int,
        nargs="+",
        metavar="N",
        help="hidden states: 0 is the embedding, -1 the last layer; several are combined",
    )
    parser.add_argument("--combination", choices=["concatenate", "sum"], help="of several layers")
    parser.add_argument(
        "--normalize", action="store_true", default=None, help="make every vector of length 1"
    )
    parser.add_argument(
        "--long",
        choices=["refuse", "cut", "window"],
        default="refuse",
        help="what to do with a text that has more tokens than the encoder takes",
    )
    parser.add_argument(
        "--sequence-length", type=int, metavar="N", help="tokens to take at once; default: all"
    )
    add_batch_arguments(parser, "texts")


def text_encoder(args):
    """The encoder that the options describe; what they leave open is as the folder says."""
    import dataclasses

    import keras

    from kbert.checkpoints.formats import load_any, pooling_of
    from kbert.checkpoints.sentence_vectors import Pooling
    from kbert.inference.text_encoder import TextEncoder

    given = {
        "mode": args.pooling,
        "layers": args.layers and tuple(args.layers),
        "combination": args.combination,
        "normalize": args.normalize,
    }
    given = {name: value for name, value in given.items() if value is not None}
    keras.config.set_dtype_policy(args.precision)
    pooling = dataclasses.replace(pooling_of(args.checkpoint) or Pooling(), **given)
    return TextEncoder(
        load_any(args.checkpoint), pooling, args.sequence_length, args.long, args.batch_size
    )


def run(args):
    import time

    from kbert.inference.vectors import vectors_writer

    write = vectors_writer(args.output)
    texts = read_texts(args.file, args.text_column)
    encoder = text_encoder(args)
    began = time.monotonic()
    vectors = encoder.encode(texts, progress=True)
    rate = len(texts) / (time.monotonic() - began)
    write(texts, vectors)
    count, width = vectors.shape
    print(f"{args.output}: {count:,} vectors of {width} numbers, {rate:,.0f} texts a second")


def read_texts(path, column):
    from kbert.errors import DataError
    from kbert.tasks.readers.tables import decoded_lines, read_rows

    if not path.endswith(".txt"):
        return [row.cells["text"] for row in read_rows(path, {"text": column})]
    texts = [line.removesuffix("\n").removesuffix("\r") for _, line in decoded_lines(path)]
    if not texts:
        raise DataError(f"{path}: expected a text on each line, found none.")
    return texts


if __name__ == "__main__":
    sys.exit(run_command("embed", sys.argv[1:]))
