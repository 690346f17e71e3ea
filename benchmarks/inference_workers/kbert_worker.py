"""kbert: what `kbert predict` calls for a file. Arguments: FOLDER."""

import dataclasses
import sys
from itertools import chain

from serving_requests import serve

from kbert.tensorflow_start import import_tensorflow_quietly


def open_model(precision, length):
    import_tensorflow_quietly()
    from kbert.inference.pieces import pieces_of_examples
    from kbert.serving.checkpoint_or_export import load_answerer
    from kbert.tasks.texts import TextExample

    answerer = load_answerer(sys.argv[1] + "/kbert", precision=precision)
    answerer.task = dataclasses.replace(answerer.task, sequence_length=length)

    def scores(texts):
        examples = [TextExample(text, None, None, "") for text in texts]
        answers = chain.from_iterable(map(answerer.answer_piece, pieces_of_examples(examples)))
        return [found["probabilities"]["1"] for found in answers]

    return scores


serve(open_model)
