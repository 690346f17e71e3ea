"""A recipe: which models are compared on which tasks, from a TOML file, checked before hours.

    title = "Masking shares"            every variant is trained once for each seed,
    seeds = 5                           and fine-tuned on each task with that seed
    baseline = "80-10-10"
    store = "$KBERT_STORES/en"          or checkpoint = "...": a trained model to begin with
    [pretraining]                       what all runs share
    [finetuning]
    [variants.NAME]                     store, checkpoint, pretraining, finetuning, tasks.TASK:
                                        what differs
    [variants.NAME.continued]           store, settings: pre-training that goes on after it; of one
                                        task: [variants.NAME.tasks.TASK.continued]
    [tasks.NAME]                        kind, files, settings
    [paper.TASK]                        VARIANT = figure
    [expected.TASK]                     VARIANT = "+", "-" or "0": of the difference, said before
    [search]                            look for a placement of LayerNorm first: one variant more

docs/laboratory.md has it all.
"""

import dataclasses
import os
import pathlib

from kbert.checkpoints.directory import load_config
from kbert.laboratory.grid import FOUND, Finetuning, HeldOut, Pretraining, Recipe, Search, Variant
from kbert.laboratory.recipe.runs import CONTINUED, HELD_OUT, JUDGE, RunReader
from kbert.laboratory.recipe.toml import Keys, TomlFile, field_names, placed
from kbert.laboratory.settings import SearchSettings
from kbert.models import OBJECTIVE_HEADS
from kbert.pretraining.objectives import OBJECTIVES
from kbert.pretraining.objectives.base import score_names
from kbert.settings import MISSING, Settings, setting
from kbert.tasks import TASKS

SIGNS = ("+", "-", "0")
_TOP = ("pretraining", "finetuning", "variants", "tasks", "paper", "expected", "search")
_OF_VARIANTS = ("store", "checkpoint", "pretraining", CONTINUED, "finetuning", "tasks")


@dataclasses.dataclass(frozen=True)
class _Head(Settings):
    """What stands above the tables of a recipe.

    Attributes:
        seeds: how many, from 0 on, or which.
        resamples: how often the test rows are drawn anew for the intervals.
    """

    title: str = setting(MISSING, "what is compared")
    baseline: str = setting(MISSING, "the variant that the others are compared with")
    seeds: int | tuple[int, ...] = setting(5, "how many, or which", at_least=0, at_most=2**32 - 1)
    store: str | None = setting(None, "token store")
    checkpoint: str | None = setting(None, "a trained model to begin with")
    source: str | None = setting(None, "where the paper's figures stand")
    resamples: int = setting(1000, "draws of the test rows", at_least=100)


def read_recipe(path: str | os.PathLike) -> Recipe:
    """The recipe in a TOML file. Raises `DataError` with file and line.

    Every setting is checked, every file exists, every store opens. What the files of tasks hold is
    checked by `rows.check_rows`.
    """
    return _Reader(TomlFile(path)).recipe()


class _Reader:
    """From the tables of a file to a recipe."""

    def __init__(self, file: TomlFile):
        self.file, self.runs = file, RunReader(file)

    def recipe(self) -> Recipe:
        file = self.file
        values = file.table((), (*_TOP, *field_names(_Head)))
        own = placed({name: value for name, value in values.items() if name not in _TOP}, ())
        self.head = file.settings(_Head, own, ())
        tasks = {name: self._task_table(name) for name in file.table(("tasks",))}
        variants = {name: self._variant(name, tasks) for name in file.table(("variants",))}
        if self.head.baseline not in variants:
            raise file.error(
                ("baseline",),
                f"baseline must be one of the variants {', '.join(variants)}. "
                f"Received: {self.head.baseline}.",
            )
        if not tasks:
            raise file.error(("tasks",), "expected one task at least, [tasks.NAME].")
        self._check_alike(variants)
        search = self._search(variants)
        compared = [*variants, *([FOUND] if search else [])]
        expected = self._figures("expected", compared, tasks)
        for task, signs in expected.items():
            for variant, sign in signs.items():
                keys = ("expected", task, variant)
                if variant == self.head.baseline:
                    raise file.error(keys, "a sign is that of a difference to the baseline.")
                if sign not in SIGNS:
                    raise file.error(keys, f"a sign is one of {', '.join(SIGNS)}. Not {sign!r}.")
        return Recipe(
            title=self.head.title,
            source=self.head.source,
            seeds=self._seeds(),
            resamples=self.head.resamples,
            baseline=self.head.baseline,
            variants=variants,
            tasks=tuple(tasks),
            paper=self._figures("paper", variants, tasks, (int, float)),
            expected=expected,
            search=search,
        )

    def _seeds(self) -> tuple[int, ...]:
        seeds = self.head.seeds
        seeds = tuple(range(seeds)) if isinstance(seeds, int) else seeds
        if not seeds or len(set(seeds)) < len(seeds):
            raise self.file.error(("seeds",), f"expected different seeds. Received: {seeds}.")
        return seeds

    def _search(self, variants: dict[str, Variant]) -> Search | None:
        """[search]; what differs in its runs from the others stands in [search.pretraining]."""
        keys = ("search",)
        table = self.file.table(keys, (*field_names(SearchSettings), "pretraining"))
        if keys[0] not in self.file.table(()):
            return None
        own = placed({key: value for key, value in table.items() if key != "pretraining"}, keys)
        settings = self.file.settings(SearchSettings, own, keys)
        if settings.seed in self._seeds():
            message = f"its seed must be none of seeds. Received: {settings.seed}."
            raise self.file.error(keys, message)
        if FOUND in variants:
            message = f"{FOUND} is what the search calls its own variant."
            raise self.file.error(("variants", FOUND), message)
        baseline, name = variants[self.head.baseline], self.head.baseline
        if not isinstance(baseline.start, Pretraining):
            message = f"a search needs a baseline with a store. Received: {name}, a checkpoint."
            raise self.file.error(keys, message)
        if any(stage.start is not None for stage in baseline.stages()):
            message = f"a search needs a baseline without {CONTINUED}. Received: {name}."
            raise self.file.error(keys, message)
        start = self.runs.pretraining(baseline.start.store, keys)
        self._check_score(settings.metric, start, keys)
        if not settings.metric.endswith(("loss", "perplexity")):
            message = f"the lower metric wins, as of a loss. Received: {settings.metric}."
            raise self.file.error(keys, message)
        if start.config.architecture != "transformer":
            raise self.file.error(keys, "only a transformer has LayerNorms to be placed.")
        own = self.file.table((*keys, "pretraining"))
        for option in ("norm_placement", "validate_every", "save_every"):
            if option in own:
                message = f"{option} is set by the search itself."
                raise self.file.error((*keys, "pretraining", option), message)
        for each in (start, baseline.start):  # The winner is the baseline with its placement.
            if each.settings.initialization == "corpus":
                message = "its placements without scaling cannot start from the corpus."
                raise self.file.error(keys, message)
            if (score := each.config.attention_score) != "scaled_dot":
                message = f"only scores of scaled_dot may lose their scaling. Received: {score}."
                raise self.file.error(keys, message)
        if start.config.num_layers != baseline.start.config.num_layers:
            message = (
                f"expected {baseline.start.config.num_layers} layers, as the baseline {name} has. "
                f"Received: {start.config.num_layers}."
            )
            raise self.file.error(keys, message)
        if settings.first_steps > start.settings.num_steps:
            raise self.file.error(keys, "first_steps must be at most num_steps of its runs.")
        return Search(settings, start)

    def _figures(self, part, variants, tasks, kind=str) -> dict:
        for task in self.file.table((part,), tasks):
            for variant, value in self.file.table((part, task), variants).items():
                if not isinstance(value, kind) or isinstance(value, bool):
                    keys, wanted = (part, task, variant), "a sign" if kind is str else "a number"
                    raise self.file.error(keys, f"{variant} must be {wanted}. Received: {value!r}.")
        return self.file.table((part,))

    def _task_table(self, name: str) -> dict:
        table = self.file.table(("tasks", name))
        if table.get("kind") not in (*TASKS, JUDGE, HELD_OUT):
            kinds = ", ".join((*TASKS, JUDGE, HELD_OUT))
            keys = ("tasks", name, "kind") if "kind" in table else ("tasks", name)
            raise self.file.error(
                keys, f"kind must be one of {kinds}. Received: {table.get('kind')}."
            )
        return table

    def _variant(self, name: str, tasks: dict) -> Variant:
        keys = ("variants", name)
        table = self.file.table(keys, _OF_VARIANTS)
        self.file.table((*keys, "tasks"), tasks)
        start = self._start(keys, table)
        if CONTINUED in table:
            start = self.runs.continued(start, keys, (*keys, CONTINUED))
        found = {task: self.runs.task(task, own, keys, start) for task, own in tasks.items()}
        for task, spec in found.items():
            own = (*keys, "tasks", task)
            if not isinstance(spec, Finetuning) and self.file.table(own):
                raise self.file.error(own, f"{task} is the same for all variants.")
            if isinstance(spec, HeldOut):
                if not isinstance(start, Pretraining):
                    message = f"the variant {name} is a checkpoint: it has no run to score."
                    raise self.file.error(("tasks", task), message)
                self._check_score(spec.metric, start, ("tasks", task))
        return Variant(start, found)

    def _check_score(self, metric: str, start: Pretraining, keys: Keys) -> None:
        """That a run is scored by it on held-out text, of which there is enough."""
        found = self.runs.store(start.store)["validation"].num_documents
        least = OBJECTIVES[start.settings.objective].examples.least_documents
        if found < least:
            raise self.file.error(
                keys, f"{start.store} must hold out {least} documents at least. Received: {found}."
            )
        known = score_names(OBJECTIVE_HEADS[start.settings.objective])
        if metric not in known:
            raise self.file.error(
                keys,
                f"metric must be one of {', '.join(known)} of the objective "
                f"{start.settings.objective}. Received: {metric}.",
            )

    def _check_alike(self, variants: dict[str, Variant]) -> None:
        """That differences are of one score on the same rows, and that every table is read."""
        baseline = variants[self.head.baseline]
        starts = ("store", "checkpoint")
        if all(
            any(kind in self.file.table(("variants", name)) for kind in starts) for name in variants
        ):
            for kind in starts:
                if getattr(self.head, kind) is not None:
                    raise self.file.error((kind,), "every variant has a start of its own.")
        for name, variant in variants.items():
            for task, spec in variant.tasks.items():
                if isinstance(spec, Finetuning):
                    other = baseline.tasks[task]
                    if _scored_as(spec) != _scored_as(other):
                        raise self.file.error(
                            ("variants", name, "tasks", task),
                            f"{task} must have one metric, and one test file that is read in one "
                            "way, in all variants.",
                        )
        kinds = [spec for variant in variants.values() for spec in variant.tasks.values()]
        stages = [stage for variant in variants.values() for stage in variant.stages()]
        read = {
            "finetuning": any(isinstance(spec, Finetuning) for spec in kinds),
            "pretraining": bool(stages),
        }
        if stages and all(stage.start is not None for stage in stages):
            self.runs.check_shared_by_continued()
        for part, is_read in read.items():
            for keys in ((part,), *(("variants", name, part) for name in variants)):
                if not is_read and self.file.table(keys):
                    raise self.file.error(keys, f"nothing here has a {part} to be set.")

    def _start(self, keys: Keys, table: dict) -> Pretraining | pathlib.Path:
        own = {
            name: (table[name], (*keys, name)) for name in ("store", "checkpoint") if name in table
        }
        common = {name: (getattr(self.head, name), (name,)) for name in ("store", "checkpoint")}
        given = own or {name: found for name, found in common.items() if found[0] is not None}
        if len(given) != 1:
            raise self.file.error(keys, "expected either a store or a checkpoint to start from.")
        ((kind, (text, where)),) = given.items()
        path = self.file.file(text, where, folder=True)
        if kind == "checkpoint":
            if table.get("pretraining"):
                message = (
                    f"expected {CONTINUED} of a variant with a checkpoint. Received: pretraining."
                )
                raise self.file.error((*keys, "pretraining"), message)
            load_config(path)
            return path
        return self.runs.pretraining(path, keys)


def _scored_as(spec: Finetuning) -> tuple:
    """What makes two scores comparable: the metric, the rows, and how these are read."""
    task = spec.task
    read = [getattr(task, name) for name in task.reading_options if name != "valid_tags"]
    return spec.choice.metric, spec.test, read
