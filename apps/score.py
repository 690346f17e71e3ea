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

from .cli import run_command


def add_arguments(parser):
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
    squad.add_argument(
        "--threshold",
        type=float,
        default=1.0,
        help="null odds above it count as no answer; the official script's is for probabilities",
    )
    conll = add("conll", "entities, by the rules of conlleval.pl")
    conll.add_argument("file", metavar="FILE", help="words, right tags, found tags in columns")
    conll.add_argument("--delimiter", help="between columns, instead of blanks and tabs")
    conll.add_argument(
        "--bioes", action="store_true", help="read S and E as BIOES has them; conlleval does not"
    )
    glue = add("glue", "a set of GLUE, by its own metrics")
    glue.add_argument("name", metavar="NAME", help="CoLA, SST-2, MRPC, STS-B, QQP, MNLI, ...")
    glue.add_argument("gold", metavar="GOLD", help="a labelled TSV, as distributed")
    glue.add_argument("predictions", metavar="PREDICTIONS", help="TSV: index, prediction")


def run(args):
    from kbert.files import as_json

    score = {"squad": squad, "cmrc": cmrc, "conll": conll, "glue": glue}[args.rules]
    print(as_json(score(args), indent=2))


def squad(args):
    from kbert.errors import DataError
    from kbert.metrics.squad import squad1_scores, squad2_scores
    from kbert.tasks.readers.squad_files import (
        is_squad2,
        read_null_odds,
        read_predictions,
        read_questions,
    )

    questions = read_questions(args.data)
    gold, predictions = gold_answers(questions), read_predictions(args.predictions)
    if is_squad2(questions):
        odds = None if args.null_odds is None else read_null_odds(args.null_odds)
        return squad2_scores(gold, predictions, odds, args.threshold)
    if args.null_odds is not None:
        raise DataError(f"{args.data}: every question has an answer; null odds say nothing.")
    return squad1_scores(gold, predictions)


def cmrc(args):
    from kbert.metrics.cmrc import cmrc_scores
    from kbert.tasks.readers.squad_files import read_predictions, read_questions

    gold = gold_answers(read_questions(args.data))
    return cmrc_scores(gold, read_predictions(args.predictions))


def gold_answers(questions):
    """id -> texts of its answers. Raises DataError for an id that comes again."""
    from kbert.errors import DataError

    gold = {}
    for question in questions:
        if question.id in gold:
            raise DataError(f"{question.where}: expected each id once; this comes again.")
        gold[question.id] = [answer.text for answer in question.answers]
    return gold


def conll(args):
    from kbert.metrics.conll import Sentence, conll_scores, from_bioes, parse_columns
    from kbert.tasks.readers.tables import decoded_lines

    sentences = list(parse_columns(decoded_lines(args.file), args.file, args.delimiter))
    if args.bioes:
        sentences = [Sentence(*map(from_bioes, sentence)) for sentence in sentences]
    elif any(tag.startswith("S-") for sentence in sentences for tags in sentence for tag in tags):
        note = "conlleval joins neighbours of one type tagged S; --bioes keeps them apart."
        print(f"kbert score: {note}", file=sys.stderr)
    return conll_scores(sentences)


def glue(args):
    from kbert.tasks.readers.glue import find_set
    from kbert.tasks.readers.glue_files import glue_scores, read_answers

    name = find_set(args.name)
    return glue_scores(name, *read_answers(name, args.gold, args.predictions))


if __name__ == "__main__":
    sys.exit(run_command("score", sys.argv[1:]))
