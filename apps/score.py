"""Score predictions by the official rules; needs no model and no TensorFlow.

    kbert score squad dev-v2.0.json predictions.json --null-odds null_odds.json
    kbert score cmrc cmrc2018_dev.json predictions.json
    kbert score conll output.txt
    kbert score glue MRPC MRPC/dev.tsv MRPC.tsv

Prints JSON under the names of the official scripts. SQuAD and CMRC take predictions as
{"id": "answer"}, or in a .jsonl file what `kbert predict` printed; conll a file whose last two
columns are the right and the found tag; glue the right answers as distributed and a submission,
`index<TAB>prediction`.
"""

import sys
from argparse import Namespace

from .cli import run_command
from .parsing import Parser


def add_arguments(parser: Parser) -> None:
    """Add what the command is given."""
    from kbert.metrics.settings import ConllSettings, NullOddsSettings
    from kbert.settings import add_options

    rules = parser.add_subparsers(dest="rules", metavar="RULES", required=True, help="one of:")

    def add(name, summary):
        return rules.add_parser(name, help=summary, description=summary)

    squad = add("squad", "SQuAD: 2.0 if the data has questions without an answer, otherwise 1.1")
    cmrc = add("cmrc", "CMRC 2018: Chinese characters and other words")
    for own in (squad, cmrc):
        own.add_argument("data", metavar="DATA", help="JSON, as distributed")
        own.add_argument("predictions", metavar="PREDICTIONS", help="JSON: id to answer")
    squad.add_argument(
        "--null-odds", metavar="FILE", help="JSON: id to a number, higher where there is no answer"
    )
    add_options(squad, NullOddsSettings)
    conll = add("conll", "entities, by the rules of conlleval.pl")
    conll.add_argument("file", metavar="FILE", help="words, right tags, found tags in columns")
    add_options(conll, ConllSettings)
    glue = add("glue", "a set of GLUE, by its own metrics")
    glue.add_argument("name", metavar="NAME", help="CoLA, SST-2, MRPC, STS-B, QQP, MNLI, ...")
    glue.add_argument("gold", metavar="GOLD", help="a labelled TSV, as distributed")
    glue.add_argument("predictions", metavar="PREDICTIONS", help="TSV: index, prediction")


def run(args: Namespace) -> None:
    """Do what the arguments say."""
    from kbert.files import as_json

    score = {"squad": _squad, "cmrc": _cmrc, "conll": _conll, "glue": _glue}[args.rules]
    print(as_json(score(args), indent=2))


def _squad(args):
    from kbert.metrics.settings import NullOddsSettings
    from kbert.settings import from_options
    from kbert.tasks.official_scores import squad_file_scores

    settings = from_options(NullOddsSettings, args)
    return squad_file_scores(args.data, args.predictions, args.null_odds, settings)


def _cmrc(args):
    from kbert.tasks.official_scores import cmrc_file_scores

    return cmrc_file_scores(args.data, args.predictions)


def _conll(args):
    from kbert.metrics.settings import ConllSettings
    from kbert.settings import from_options
    from kbert.tasks.official_scores import conll_file_scores

    scores, note = conll_file_scores(args.file, from_options(ConllSettings, args))
    if note is not None:
        print(f"kbert score: {note}", file=sys.stderr)
    return scores


def _glue(args):
    from kbert.tasks.official_scores import glue_file_scores

    return glue_file_scores(args.name, args.gold, args.predictions)


if __name__ == "__main__":
    sys.exit(run_command("score", sys.argv[1:]))
