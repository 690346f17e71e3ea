"""Write an encoder that nothing has trained, to fine-tune it from its random weights.

    kbert new vocab.txt --output lstm --architecture bilstm --preset tiny
    kbert finetune tagging --from lstm --crf --train train.conll --validation dev.conll \\
        --output tagger

That is a BiLSTM-CRF. With `--word-vectors glove.6B.100d.txt --hidden-dim 100` its embedding begins
with vectors of words; `--no-lowercase` is for a vocabulary, and vectors, with capitals.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.checkpoints.new import NewEncoder
    from kbert.settings import add_options

    parser.add_argument("vocabulary", metavar="VOCABULARY", help="vocab.txt, one piece a line")
    parser.add_argument("--output", required=True, metavar="FOLDER", help="what to write")
    add_options(parser, NewEncoder)


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.checkpoints.new import NewEncoder, write_new
    from kbert.settings import from_options

    settings = from_options(NewEncoder, args)
    checkpoint, num_found = write_new(args.output, args.vocabulary, settings)
    if settings.word_vectors is not None:
        print(f"{num_found:,} of {checkpoint.config.vocabulary_size:,} pieces have a vector")
    print(f"{args.output} is an encoder of {checkpoint.model.count_params():,} random weights.")


if __name__ == "__main__":
    sys.exit(run_command("new", sys.argv[1:]))
