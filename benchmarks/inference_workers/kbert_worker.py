"""kbert: what `kbert predict` calls for a file. Arguments: FOLDER."""

import dataclasses
import sys

from serving_requests import serve

from kbert.tensorflow_start import import_tensorflow_quietly


def open_model(precision, length):
    import_tensorflow_quietly()
    import keras

    from kbert.checkpoints.directory import load_finetuned
    from kbert.inference.answering import answer_examples
    from kbert.inference.prediction import answer_in_pieces
    from kbert.tasks.texts import TextExample

    keras.config.set_dtype_policy(precision)
    model, tokenizer, _, task = load_finetuned(sys.argv[1] + "/kbert")
    task = dataclasses.replace(task, sequence_length=length)

    def answer(examples):
        return answer_examples(task, model, tokenizer, examples, batch_size=64)

    def scores(texts):
        examples = [TextExample(text, None, None, "") for text in texts]
        return [found["probabilities"]["1"] for found in answer_in_pieces(answer, examples)]

    return scores


serve(open_model)
