"""A run's folder belongs to one run: run.json says with which text and settings it was started."""

import dataclasses
import pathlib

from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.files import read_object, write_json
from kbert.pretraining.settings import PretrainingSettings

_FILE = "run.json"


def claim(
    run: pathlib.Path, store: TokenStore, config: BertConfig, settings: PretrainingSettings
) -> None:
    """Write run.json into a new folder, or see that the folder's own run is the one that is wanted.

    Raises `DataError`, with the folder as it was, for files that are no run's, and for a run with
    other text, model or settings: resumed with them it would not end where it was going.
    """
    train = store["train"]
    wanted = {
        "config": config.to_dict(),
        "settings": dataclasses.asdict(settings),
        "store": {"tokens": len(train.tokens), "sentences": train.num_sentences},
    }
    is_run = (run / _FILE).is_file() and not (run / "task.json").exists()
    if is_run:
        _check_same(run, wanted)
        return
    # Names with a dot in front are left by the system, or by a process that was killed.
    if run.exists() and any(not name.name.startswith(".") for name in run.iterdir()):
        raise DataError(
            f"{run} holds files that are not of a pre-training run. Choose another --output."
        )
    write_json(run / _FILE, wanted)


def _check_same(run: pathlib.Path, wanted: dict) -> None:
    before = read_object(run / _FILE)
    try:
        differences = {
            name: f"{name} was {before[part].get(name)!r}, now {value!r}"
            for part in wanted
            for name, value in wanted[part].items()
            if before[part].get(name) != value
        }
    except (KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{run / _FILE} must hold the settings of a run: {error!r}.") from error
    if set(differences) == {"num_steps"} and (run / "model.safetensors").is_file():
        raise DataError(
            f"{run} is finished after {before['settings']['num_steps']} steps, and its rate has "
            f"fallen to 0. Start another run from it, with another --seed for other rows: "
            f"--from {run} --output ANOTHER."
        )
    if differences:
        raise DataError(
            f"{run} holds a run with other settings: {'; '.join(differences.values())}. "
            "Resume it with its own, or choose another --output."
        )
