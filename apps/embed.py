"""Vectors of texts from an encoder.

    kbert embed CHECKPOINT texts.txt --output vectors.npy
    kbert embed CHECKPOINT reviews.tsv --text-column review --output vectors.jsonl
    kbert embed CHECKPOINT texts.txt --output projector     # tensorboard --logdir projector

A .txt file holds a text on each line; TSV, CSV and JSON lines have a text column. CHECKPOINT may
also be a folder of Hugging Face, sentence-transformers, Google or keras-hub. What the folder says
of pooling is the default, else the mean of the last layer.
"""

import sys

from .cli import run_command


def add_arguments(parser):
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="any model with an encoder")
    parser.add_argument("file", metavar="FILE", help="the texts")
    parser.add_argument(
        "--output", required=True, help="NAME.npy, NAME.jsonl, or a folder for the projector"
    )
    parser.add_argument("--text-column", default="text", help="of a file that is not .txt")
    add_encoder_options(parser)


def add_encoder_options(parser):
    """The options of `kbert embed` and `kbert similarity`."""
    from kbert.inference.settings import ComputeSettings, VectorSettings
    from kbert.settings import add_options

    for settings in (VectorSettings, ComputeSettings):
        add_options(parser, settings)


def text_encoder(args):
    """The encoder that the options describe; what they leave open is as the folder says."""
    import dataclasses

    import keras

    from kbert.checkpoints.formats import load_any, pooling_of
    from kbert.checkpoints.sentence_vectors import Pooling
    from kbert.inference.settings import ComputeSettings, VectorSettings
    from kbert.inference.text_encoder import TextEncoder
    from kbert.settings import from_options

    vectors, compute = from_options(VectorSettings, args), from_options(ComputeSettings, args)
    given = {
        "mode": vectors.pooling,
        "layers": vectors.layers,
        "combination": vectors.combination,
        "normalize": vectors.normalize,
    }
    given = {name: value for name, value in given.items() if value is not None}
    keras.config.set_dtype_policy(compute.precision)
    pooling = dataclasses.replace(pooling_of(args.checkpoint) or Pooling(), **given)
    return TextEncoder(
        load_any(args.checkpoint),
        pooling,
        vectors.sequence_length,
        vectors.long,
        compute.batch_size,
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
