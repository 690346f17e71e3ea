"""A run's folder belongs to one run: run.json says with which text and settings it was started."""

import dataclasses
import pathlib

from kbert.claim import FILE, differences
from kbert.claim import claim as claim_folder
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.engine.workers import by_chief
from kbert.errors import DataError
from kbert.files import read_object
from kbert.pretraining.settings import PretrainingSettings


@by_chief
def claim(
    run: pathlib.Path,
    store: TokenStore,
    config: BertConfig,
    settings: PretrainingSettings,
    start: str | None = None,
    teacher: str | None = None,
) -> None:
    """Write run.json into a new folder, or see that the folder's own run is the one that is wanted.

    Args:
        start: the digest of the weights that the run begins with; None for a new model.
        teacher: that of its teacher's; None for none.

    Raises `DataError`, with the folder as it was, for files that are no run's, and for a run with
    other text, model, start or settings: resumed with them it would not end where it was going.
    """
    train = store["train"]
    digests = {"start": start} | ({} if teacher is None else {"teacher_weights": teacher})
    # A run of before there was a teacher's digest is taken to have the same.
    defaults = {"settings": PretrainingSettings().to_json() | digests | {"start": None}}
    wanted = {
        "config": config.to_dict(),
        "settings": dataclasses.asdict(settings) | digests,
        "store": {"tokens": len(train.tokens), "sentences": train.num_sentences},
    }
    is_run = (run / FILE).is_file() and not (run / "task.json").exists()
    # Names with a dot in front are left by the system, or by a process that was killed.
    if not is_run and run.exists() and any(not p.name.startswith(".") for p in run.iterdir()):
        raise DataError(
            f"{run} holds files that are not of a pre-training run. Choose another --output."
        )
    finished = is_run and (run / "model.safetensors").is_file()
    if finished and set(differences(run, wanted, defaults)) == {"num_steps"}:
        num_steps = read_object(run / FILE)["settings"]["num_steps"]
        raise DataError(
            f"{run} is finished after {num_steps} steps, and its rate has fallen to 0. Start "
            "another run from it, with another --seed for other rows: "
            f"--from {run} --output ANOTHER."
        )
    claim_folder(run, wanted, defaults)
