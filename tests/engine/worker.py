"""Run by test_workers.py, once for each worker of a cluster: what a run is, as a command would.

    worker.py pretrain STORE OUTPUT [CHANGES]
    worker.py finetune START TRAIN VALIDATION OUTPUT [CHANGES]

CHANGES is JSON. Ends as a command does: 0 and a summary as JSON, or 1 and a sentence.
"""

import json
import sys

from apps.ending import exit_code
from apps.parsing import Parser
from kbert.config import BertConfig
from kbert.engine import cluster


def pretrain(store, output, **changes):
    from kbert.corpus.store import TokenStore
    from kbert.pretraining.run import pretrain
    from kbert.pretraining.settings import PretrainingSettings, Schedule

    store = TokenStore(store)
    settings = {"num_steps": 20, "batch_size": 4, "sequence_length": 16, "warmup_steps": 2}
    schedule = {"log_every": 1, "validate_every": 10, "validation_batches": 2, "save_every": 4}
    for values in (settings, schedule):
        values.update((name, changes.pop(name)) for name in set(changes) & set(values))
    dropout = changes.pop("dropout", 0.0)
    config = BertConfig(
        len(store.vocabulary),
        num_layers=1,
        num_heads=2,
        hidden_dim=8,
        intermediate_dim=16,
        max_sequence_length=16,
        dropout=dropout,
        attention_dropout=dropout,
    )
    settings = PretrainingSettings(**settings, learning_rate=1e-2, **changes)
    return pretrain(store, output, config, settings, Schedule(**schedule))


def finetune(start, train, validation, output, **changes):
    from kbert.finetuning.run import finetune
    from kbert.finetuning.settings import FinetuningSettings
    from kbert.tasks.classification import ClassificationTask

    settings = {"epochs": 2, "batch_size": 16, "learning_rate": 5e-3, "encoder_dropout": 0.0}
    task = ClassificationTask(dropout=0.0, sequence_length=16)
    return finetune(
        task,
        start,
        train,
        output,
        FinetuningSettings(**settings | changes),
        validation_path=validation,
        verbose=0,
    )


def main(name, *arguments):
    cluster.meet.__defaults__ = (float(5),)  # A mistake is told sooner.
    *paths, changes = arguments if arguments[-1].startswith("{") else (*arguments, "{}")
    run = {"pretrain": pretrain, "finetune": finetune}[name]
    return exit_code(
        Parser(prog=name), lambda: print(json.dumps(run(*paths, **json.loads(changes))))
    )


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
