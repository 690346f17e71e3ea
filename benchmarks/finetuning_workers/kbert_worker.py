"""kbert's train step as `kbert finetune` runs it: FOLDER TASK LENGTH PRECISION."""

import json
import os
import pathlib
import sys

from rows import BATCH, serve

from kbert.tensorflow_start import import_tensorflow_quietly

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
import_tensorflow_quietly()

from kbert import Checkpoint, FinetuningSettings, load  # noqa: E402
from kbert.engine.backend import engine  # noqa: E402
from kbert.engine.precision import set_precision  # noqa: E402
from kbert.finetuning.rows import read_rows  # noqa: E402
from kbert.finetuning.settings import EpochChoice  # noqa: E402
from kbert.finetuning.training import Plan, build_run  # noqa: E402
from kbert.tasks import TASKS  # noqa: E402

EPOCHS = 3  # of the run that decides what is compiled
MOST = 1000  # epochs that are there to be measured


def main():
    folder, name, length, precision = sys.argv[1:5]
    folder = pathlib.Path(folder)
    task = TASKS[name](
        sequence_length=int(length), **json.loads((folder / "task.json").read_text())
    )
    set_precision(precision)
    start: Checkpoint = load(folder / "checkpoint")
    file = next(folder.glob("train.*"))
    rows = read_rows(task, start, file, validation_share=0)
    settings = FinetuningSettings(
        epochs=EPOCHS, batch_size=BATCH, precision=precision, learning_rate=5e-5
    )
    run = build_run(rows, start, settings, Plan("", {}, EpochChoice(), silent=True))
    numbers = range(len(run.batches) * MOST)
    dataset = engine().as_dataset(run.batches, len(numbers), fixed_shapes=run.batches.one_shape)
    batches, counted = iter(dataset), iter(numbers)
    run.trainer.make_train_function()
    train = run.trainer.train_function  # what `fit` calls

    def step():
        float(train(batches)["loss"])
        epoch, index = divmod(next(counted), len(run.batches))
        return len(run.batches.plan(epoch)[index])

    serve(step)


if __name__ == "__main__":
    main()
