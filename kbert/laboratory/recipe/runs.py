"""The runs that the tables of a recipe describe, each checked: what is merged from where."""

import dataclasses
import functools
import pathlib
from collections.abc import Iterable

from kbert.checkpoints.directory import load_options
from kbert.config import BertConfig
from kbert.corpus.store import TokenStore
from kbert.errors import DataError
from kbert.files import current
from kbert.finetuning.run import checked_metric
from kbert.finetuning.settings import EpochChoice, FinetuningSettings, RowSettings
from kbert.laboratory.grid import Finetuning, HeldOut, Judging, Pretraining, config_of
from kbert.laboratory.recipe.toml import Keys, Placed, TomlFile, field_names, placed, those_of
from kbert.laboratory.settings import JudgeSettings
from kbert.model_settings import NewModel
from kbert.pretraining.first_model import first_model, trained_further
from kbert.pretraining.initialization import check_initialization
from kbert.pretraining.objectives import OBJECTIVES
from kbert.pretraining.settings import PretrainingSettings, Schedule
from kbert.settings import Settings, setting
from kbert.tasks import TASKS
from kbert.tasks.readers.glue import GlueFile, trainable
from kbert.text.vocabulary import load_vocabulary

JUDGE, HELD_OUT = "judge", "held-out"
CONTINUED = "continued"  # Table of a pre-training that goes on.
_FILES = ("train", "validation", "test")
_SAVES = 20  # Of a pre-training run.
# What a recipe sets in another way.
_NOT_SET = ("vocabulary_size", "seed", "keep")
# What a run that goes on reads, besides its store.
_DROPOUTS = {"dropout", "attention_dropout"}
_OF_CONTINUED = {*field_names(PretrainingSettings), *field_names(Schedule), *_DROPOUTS, "direction"}
_OF_CONTINUED -= {"initialization"}


@dataclasses.dataclass(frozen=True)
class _HeldOutSettings(Settings):
    """A score of the pre-training run itself, on held-out text."""

    metric: str = setting("masked_lm_loss", "a score's name in the run's log")


@dataclasses.dataclass(frozen=True)
class _Models(Settings):
    """Which models are fine-tuned."""

    from_random: bool = setting(False, "begin with random weights")
    members: int = setting(1, "models that answer as one, each of a seed of its own", at_least=1)


class RunReader:
    """Makes runs of the tables of a file. Raises `DataError` with file and line."""

    def __init__(self, file: TomlFile):
        self.file = file
        self.store = functools.cache(TokenStore)  # Opening one reads all of it.

    def pretraining(self, store: pathlib.Path, keys: Keys) -> Pretraining:
        """That of a new model, of a variant or a search: the table under `keys`."""
        values = self.file.merged(("pretraining",), (*keys, "pretraining"))
        parts = (NewModel, PretrainingSettings, Schedule, BertConfig)
        self._check_names(values, [name for part in parts for name in field_names(part)])
        new = self.file.settings(NewModel, those_of(NewModel, values), keys)
        settings, schedule = self._run(values, keys)
        taken = {name for part in parts[:3] for name in field_names(part)}
        changes = {name: value for name, (value, _) in values.items() if name not in taken}
        try:
            direction = OBJECTIVES[settings.objective].direction
            config, _ = first_model(self.store(store), new, direction=direction, **changes)
        except (ValueError, DataError) as error:
            raise self.file.error(keys, str(error)) from error
        return self._checked(Pretraining(store, config, settings, schedule), keys)

    def continued(
        self, start: Pretraining | pathlib.Path, variant: Keys, keys: Keys
    ) -> Pretraining:
        """That of a model that is trained, as the variant's own but for the table under `keys`."""
        own = self.file.merged(keys)
        self._check_names(own, ["store", *_OF_CONTINUED])
        common = self.file.merged(("pretraining",), (*variant, "pretraining"))
        values = {name: value for name, value in common.items() if name in _OF_CONTINUED}
        values |= own
        new = self.file.settings(NewModel, those_of(NewModel, values), keys)
        settings, schedule = self._run(values, keys)
        if "store" not in values:
            raise self.file.error(keys, "expected the folder of the text under store.")
        store = self.file.file(*values["store"], folder=True)
        try:
            config = trained_further(
                config_of(start), new, _direction(start, settings, new, values)
            )
            if "attention_dropout" in values:
                share, _ = values["attention_dropout"]
                config = dataclasses.replace(config, attention_dropout=share)
            path, needs, options = self._reading(start)
            has = list(self.store(store).vocabulary)
            if has != needs:
                raise DataError(
                    f"the store {store} must have the {len(needs)} pieces of the model, in their "
                    f"order. Received: {len(has)} pieces, or others."
                )
            self.store(store).check_reading(path, needs, options)
        except (ValueError, DataError) as error:
            raise self.file.error(keys, str(error)) from error
        return self._checked(Pretraining(store, config, settings, schedule, start), keys)

    def check_shared_by_continued(self) -> None:
        """Raise `DataError` for a value in [pretraining] that nothing reads that goes on."""
        self._check_names(self.file.merged(("pretraining",)), _OF_CONTINUED)

    def _reading(self, start: Pretraining | pathlib.Path) -> tuple:
        """Whose tokenizer a model has, its vocabulary and its options."""
        if isinstance(start, Pretraining):
            store = self.store(start.store)
            return start.store, list(store.vocabulary), store.tokenizer_options
        vocabulary = load_vocabulary(current(start, "vocab.txt"))
        return start, list(vocabulary), load_options(start).arguments()

    def _run(self, values: Placed, keys: Keys) -> tuple[PretrainingSettings, Schedule]:
        values = self._with_teacher(values)
        settings, schedule = (
            self.file.settings(part, those_of(part, values), keys)
            for part in (PretrainingSettings, Schedule)
        )
        changes = {}
        if "save_every" not in values:
            # Runs of a laboratory are shorter than those that the default is for.
            changes["save_every"] = max(1, settings.num_steps // _SAVES)
        if "validation_batches" not in values:
            # Of variants with other batches the same rows are scored.
            rows = schedule.validation_batches * self._usual_batch(settings.batch_size)
            changes["validation_batches"] = max(1, rows // settings.batch_size)
        return settings, dataclasses.replace(schedule, **changes)

    def _usual_batch(self, own: int) -> int:
        """The rows of a batch in [pretraining]; a variant's own where it says nothing of them."""
        shared = self.file.merged(("pretraining",))
        placed = {"batch_size": shared.get("batch_size", (own, ()))}
        return self.file.settings(PretrainingSettings, placed, ("pretraining",)).batch_size

    def _checked(self, what: Pretraining, keys: Keys) -> Pretraining:
        """The same, if its parts go together."""
        try:
            what.settings.built(self.store(what.store)).check(what.config)
            check_initialization(what.settings.initialization, what.config)
        except (ValueError, DataError) as error:
            raise self.file.error(keys, str(error)) from error
        longest = max(phase.sequence_length for phase in what.settings.phases())
        known = what.config.max_sequence_length
        if longest > known:
            raise self.file.error(
                keys,
                f"rows of {longest} tokens are longer than the {known} positions of the model.",
            )
        return what

    def task(
        self, name: str, table: dict, variant: Keys, start: Pretraining | pathlib.Path
    ) -> Finetuning | Judging | HeldOut:
        """What is done with a variant's model `start` in the task of this name and table."""
        keys = ("tasks", name)
        own = placed({key: value for key, value in table.items() if key != "kind"}, keys)
        if table["kind"] == JUDGE:
            self._check_names(own, ("pairs", *field_names(JudgeSettings)))
            settings = self.file.settings(JudgeSettings, those_of(JudgeSettings, own), keys)
            return Judging(self._file(own, "pairs", keys), settings)
        if table["kind"] == HELD_OUT:
            self._check_names(own, field_names(_HeldOutSettings))
            return HeldOut(self.file.settings(_HeldOutSettings, own, keys).metric)
        return self._finetuning(table["kind"], keys, variant, start)

    def _finetuning(
        self, kind: str, keys: Keys, variant: Keys, start: Pretraining | pathlib.Path
    ) -> Finetuning:
        own = (*variant, "tasks", keys[-1])
        for place in (("finetuning",), (*variant, "finetuning"), own):
            if "kind" in self.file.table(place):
                message = f"the kind of {keys[-1]} is said in [{'.'.join(keys)}] alone."
                raise self.file.error((*place, "kind"), message)
        values = self.file.merged(("finetuning",), keys, (*variant, "finetuning"), own)
        del values["kind"]
        continued = None
        if CONTINUED in self.file.table(own):
            del values[CONTINUED]
            continued = self.continued(start, variant, (*own, CONTINUED))
        options = [
            field.name for field in dataclasses.fields(TASKS[kind]) if "help" in field.metadata
        ]
        parts = (FinetuningSettings, RowSettings, EpochChoice, _Models)
        known = [*_FILES, *options, *(name for part in parts for name in field_names(part))]
        self._check_names(values, [*known, "glue"] if trainable(kind) else known)
        values = self._with_teacher(values)
        glue = self.file.settings(GlueFile, those_of(GlueFile, values), keys)
        columns = placed(glue.columns("labelled") | glue.metric(), (*keys, "glue"))
        values = columns | values
        task = self.file.settings(
            TASKS[kind], {name: values[name] for name in options if name in values}, keys
        )
        settings, rows, choice, models = (
            self.file.settings(part, those_of(part, values), keys) for part in parts
        )
        try:
            choice = dataclasses.replace(choice, metric=checked_metric(task, choice.metric))
        except DataError as error:
            raise self.file.error(values["metric"][1], str(error)) from error
        validation = self._file(values, "validation", keys) if "validation" in values else None
        files = self._train(values, keys), validation, self._file(values, "test", keys)
        if models.from_random and continued is not None:
            message = f"expected no {CONTINUED}, of which from_random keeps nothing."
            raise self.file.error((*own, CONTINUED), message)
        if models.members > 1 and not task.links:
            message = f"members must be 1 of a {kind} whose answers have no mean. "
            raise self.file.error(values["members"][1], f"{message}Received: {models.members}.")
        return Finetuning(
            task, settings, rows, choice, models.from_random, models.members, *files, continued
        )

    def _with_teacher(self, values: Placed) -> Placed:
        """The values with the paths of teachers' folders, of one or of a list of them."""
        if "teacher" not in values:
            return values
        found, keys = values["teacher"]
        if isinstance(found, list):
            return values | {"teacher": ([self._folder(text, keys) for text in found], keys)}
        return values | {"teacher": (self._folder(found, keys), keys)}

    def _folder(self, text: object, keys: Keys) -> str:
        return str(self.file.file(text, keys, folder=True))

    def _train(self, values: Placed, keys: Keys) -> tuple[pathlib.Path, ...]:
        files, where = values.get("train", ([], keys))
        files = files if isinstance(files, list) else [files]
        if not files:
            raise self.file.error(keys, "expected a file or a list of files under train.")
        return tuple(self.file.file(text, where) for text in files)

    def _file(self, values: Placed, name: str, keys: Keys) -> pathlib.Path:
        if name not in values:
            raise self.file.error(keys, f"expected a file under {name}.")
        return self.file.file(*values[name])

    def _check_names(self, values: Placed, known: Iterable[str]) -> None:
        known = sorted(set(known) - set(_NOT_SET))
        for name, (_, keys) in values.items():
            if name not in known:
                reason = "is set by the recipe itself" if name in _NOT_SET else "is unknown"
                raise self.file.error(
                    keys, f"{name} {reason}. Expected some of: {', '.join(known)}."
                )


def _direction(
    start: Pretraining | pathlib.Path, settings: PretrainingSettings, new: NewModel, values: Placed
) -> str | None:
    """What a model sees that goes on; None for what it has seen before.

    Raises `DataError` where nothing says whether a model of one direction keeps it.
    """
    needed, has = OBJECTIVES[settings.objective].direction, config_of(start).direction
    if "direction" in values:
        return new.directed(needed).direction
    if needed is None and has != NewModel.direction:
        raise DataError(
            f"expected a direction, since the model before has learned with {has} and "
            f"{settings.objective} takes any."
        )
    return needed
