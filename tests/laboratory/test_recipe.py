"""Recipes: what is merged from where, and every mistake by its name and line."""

import json
import shutil

import pytest

from kbert.errors import DataError
from kbert.laboratory.cells import chains_of
from kbert.laboratory.recipe.file import read_recipe
from kbert.laboratory.recipe.rows import check_rows
from kbert.text.vocabulary import load_vocabulary
from tests.conftest import ROOT
from tests.laboratory.small_recipe import RECIPE, write_recipe
from tests.small_store import write_random_store

LINES = RECIPE.splitlines()


def read(tmp_path, tiny_store, old="", new=""):
    assert old in RECIPE
    return read_recipe(write_recipe(tmp_path, tiny_store, RECIPE.replace(old, new, 1)))


def line_of(text):
    return LINES.index(text) + 1


def test_a_recipe_merges_what_is_common_with_what_differs(tmp_path, tiny_store):
    recipe = read(tmp_path, tiny_store, "[variants.few]", "[variants.few.finetuning]\nepochs = 2")
    few, many = recipe.variants["few"], recipe.variants["many"]
    assert recipe.seeds == (0, 1)
    assert (few.start.settings.masking_rate, many.start.settings.masking_rate) == (0.15, 0.5)
    assert few.start.settings.num_steps == many.start.settings.num_steps == 6
    assert few.config.hidden_dim == 8 and few.config.vocabulary_size == 60
    assert (few.tasks["words"].settings.epochs, many.tasks["words"].settings.epochs) == (2, 1)
    assert few.tasks["words"].choice.metric == "accuracy"
    assert recipe.paper == {"words": {"few": 80.0, "many": 78.5}}
    check_rows(recipe)


def test_a_run_is_saved_twenty_times_or_as_the_recipe_says(tmp_path, tiny_store):
    recipe = read(tmp_path, tiny_store, "num_steps = 6", "num_steps = 100")
    assert recipe.variants["few"].start.schedule.save_every == 2
    text = RECIPE.replace("save_every = 2\n", "").replace("num_steps = 6", "num_steps = 100")
    recipe = read_recipe(write_recipe(tmp_path, tiny_store, text))
    assert recipe.variants["few"].start.schedule.save_every == 5


def test_what_is_scored_on_held_out_text_needs_some(tmp_path, tiny_vocabulary):
    """Otherwise a whole run would be made before its score is missed."""
    store = write_random_store(tmp_path / "store", tiny_vocabulary, validation=1)
    with pytest.raises(DataError, match="must hold out 2 documents at least. Received: 1"):
        read(tmp_path, store, "[variants.few]", "[variants.few]")


def test_a_path_may_begin_with_an_environment_variable(tmp_path, tiny_store, monkeypatch):
    change = '"train.tsv"', '"$KBERT_RECIPE_TEST/train.tsv"'
    with pytest.raises(DataError, match="needs the environment variable KBERT_RECIPE_TEST"):
        read(tmp_path, tiny_store, *change)
    monkeypatch.setenv("KBERT_RECIPE_TEST", str(tmp_path))
    recipe = read(tmp_path, tiny_store, *change)
    assert recipe.variants["few"].tasks["words"].train == (tmp_path / "train.tsv",)


def test_a_teacher_counts_by_what_it_holds(tmp_path, tiny_store):
    """Its path begins at the recipe's folder; an ensemble holds its members."""
    for name in ("one", "same", "both/member_0"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model").write_text("weights", encoding="utf-8")
    (tmp_path / "both" / "ensemble.json").write_text("{}", encoding="utf-8")

    def keys(pretraining, *finetuning):
        listed = ", ".join(f'"{name}"' for name in finetuning)
        text = RECIPE.replace("epochs = 1", f"epochs = 1\nteacher = [{listed}]")
        text = text.replace("num_steps = 6", f'num_steps = 6\nteacher = "{pretraining}"')
        recipe = read_recipe(write_recipe(tmp_path, tiny_store, text))
        few = recipe.variants["few"]
        assert few.start.settings.teacher == str(tmp_path / pretraining)
        expected = tuple(str(tmp_path / name) for name in finetuning)
        assert few.tasks["words"].settings.teacher == expected
        chain = chains_of(recipe)[0]
        return chain.pretraining.key, chain.tasks["words"].key

    first = keys("one", "one", "both")
    assert keys("same", "same", "both") == first
    (tmp_path / "both" / "member_0" / "model").write_text("others", encoding="utf-8")
    second = keys("one", "one", "both")
    assert second[0] == first[0] and second[1] != first[1]
    assert keys("both", "one", "both")[0] != first[0]
    with pytest.raises(DataError, match="there is no folder .*none"):
        keys("one", "none")


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("seeds = 2", "seed = 2", "seeds = 2", "unknown key 'seed'. Expected one of: .*baseline"),
        ("seeds = 2", "seeds = 0", "seeds = 2", "expected different seeds"),
        ("seeds = 2", "seeds = 1.5", "seeds = 2", "seeds must be a whole number or a list"),
        ("num_steps = 6", "num_step = 6", "num_steps = 6", "num_step is unknown"),
        ("num_steps = 6", "num_steps = 0", "num_steps = 6", "num_steps must be at least 1"),
        ("num_steps = 6", "seed = 6", "num_steps = 6", "seed is set by the recipe itself"),
        ("masking_rate = 0.5", "masking_rate = 1", "masking_rate = 0.5", r"in \(0, 1\)"),
        (
            "masking_rate = 0.5",
            'position = "rotary"\ninitialization = "corpus"',
            "[variants.many.pretraining]",
            "learned positions at the embedding. .* position rotary",
        ),
        ("epochs = 1", "epoch = 1", "epochs = 1", "epoch is unknown"),
        ("epochs = 1", 'kind = "regression"', "epochs = 1", "is said in .tasks.words. alone"),
        ("num_steps = 6", "keep = 6", "num_steps = 6", "keep is set by the recipe itself"),
        ('kind = "judge"', 'kind = "jury"', 'kind = "judge"', "kind must be one of classification"),
        ('"pairs.jsonl"', '"pair.jsonl"', 'pairs = "pairs.jsonl"', "there is no file .*pair.jsonl"),
        ('test = "test.tsv"', "", "[tasks.words]", "expected a file under test"),
        ("[variants.few]", "[variants.less]", 'baseline = "few"', "one of the variants less, many"),
        ("many = 78.5", 'many = "78"', "many = 78.5", "many must be a number"),
        ("many = 78.5", "more = 78.5", "many = 78.5", "unknown key 'more' in .paper.words."),
        ('many = "+"', 'many = "more"', 'many = "+"', r"a sign is one of \+, -, 0"),
        (
            'kind = "held-out"',
            'kind = "held-out"\nmetric = "next_token_loss"',
            "[tasks.loss]",
            "one of loss, masked_lm_loss, .* masked-lm-next-sentence. Received: next_token_loss",
        ),
        (
            "[variants.many.pretraining]",
            '[variants.many.tasks.words]\nmetric = "f1_macro"\n[variants.many.pretraining]',
            "[variants.many.pretraining]",
            "words must have one metric, and one test file that is read in one way, in all",
        ),
        (
            "[variants.many.pretraining]",
            '[variants.many.tasks.words]\nlabel_column = "other"\n[variants.many.pretraining]',
            "[variants.many.pretraining]",
            "words must have one metric, and one test file that is read in one way, in all",
        ),
        ('many = "+"', 'few = "+"', 'many = "+"', "a sign is that of a difference to the baseline"),
        ("seeds = 2", "seeds = [0, 4294967296]", "seeds = 2", "seeds must be .* 4294967295"),
        ('"pairs.jsonl"', '"~nobody-here/x"', 'pairs = "pairs.jsonl"', "~nobody-here/x is no path"),
        (
            "[variants.many.pretraining]",
            "[variants.many.tasks.pairs]\nlimit = 5\n[variants.many.pretraining]",
            "[variants.many.pretraining]",
            "pairs is the same for all variants",
        ),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, tiny_store, old, new, line, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, tiny_store, old, new)
    assert f"recipe.toml, line {line_of(line)}: " in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "at", "message"),
    [
        (
            "[variants.few.continued]\nnum_steps = 2",
            0,
            "expected the folder of the text under store",
        ),
        ("[variants.few.continued]\nhidden_dim = 2", 1, "hidden_dim is unknown"),
        ('[variants.few.continued]\nstore = "none"', 1, "there is no folder .*none"),
        (
            '[variants.few.tasks.words.continued]\nstore = "{store}"\nsequence_length = 600',
            0,
            "rows of 600 tokens are longer than the 512 positions",
        ),
        (
            '[variants.few.tasks.words]\nfrom_random = true\ncontinued = {store = "{store}"}',
            2,
            "expected no continued, of which from_random keeps nothing",
        ),
        ("[variants.few.tasks.words]\nmembers = 0", 1, "members must be at least 1"),
        (
            '[variants.few.pretraining]\nobjective = "left-to-right"\n'
            '[variants.few.continued]\nstore = "{store}"\nobjective = "masked-lm"',
            2,
            "expected a direction, since the model before has learned with left and masked-lm",
        ),
    ],
)
def test_a_mistake_in_what_goes_on_and_in_several_models(tmp_path, tiny_store, lines, at, message):
    with pytest.raises(DataError, match=message) as caught:
        read(tmp_path, tiny_store, "[variants.few]", lines)
    assert f"recipe.toml, line {line_of('[variants.few]') + at}: " in str(caught.value)


def test_a_mistake_of_no_single_value_is_that_of_the_variant(tmp_path, tiny_store):
    """Also where the variant has no table of the values in question."""
    with pytest.raises(DataError, match="longer than the 512 positions") as caught:
        read(tmp_path, tiny_store, "sequence_length = 32", "sequence_length = 600")
    assert f"recipe.toml, line {line_of('[variants.few]')}: " in str(caught.value)


@pytest.mark.parametrize("name", ["learning_rat", "hidden_dim", "initialization", "seed", "store"])
def test_what_no_run_that_goes_on_reads_is_refused(tmp_path, tiny_store, name):
    """Where all variants begin with a checkpoint, [pretraining] is of what goes on alone."""
    checkpoint = ROOT / "saved_models/kbert-mini-en/checkpoint"
    vocabulary = load_vocabulary(checkpoint / "vocab.txt")
    store = write_random_store(tmp_path / "store", vocabulary)
    text = RECIPE[: RECIPE.index("[pretraining]")].replace('store = "{store}"\n', "")
    text += f"[pretraining]\nnum_steps = 4\n{name} = 1\n"
    for variant in ("few", "many"):
        text += f'[variants.{variant}]\ncheckpoint = "{checkpoint}"\n'
        text += f'continued = {{store = "{store}", masking_rate = 0.2}}\n'
    text += '[tasks.pairs]\nkind = "judge"\npairs = "pairs.jsonl"\n'
    recipe = write_recipe(tmp_path, tiny_store, text)
    with pytest.raises(DataError, match=f"{name} is (unknown|set by the recipe itself)"):
        read_recipe(recipe)
    recipe.write_text(recipe.read_text().replace(f"{name} = 1\n", ""))
    few = read_recipe(recipe).variants["few"]
    assert (few.start.settings.num_steps, few.start.start) == (4, checkpoint)


def test_what_goes_on_has_the_vocabulary_of_its_model(tmp_path, tiny_store):
    checkpoint = ROOT / "saved_models/kbert-mini-en/checkpoint"
    lines = f'[variants.few]\ncheckpoint = "{checkpoint}"\ncontinued = {{store = "{tiny_store}"}}'
    with pytest.raises(DataError, match="must have the 8192 pieces of the model, .* 60 pieces"):
        read(tmp_path, tiny_store, "[variants.few]", lines)


def test_what_goes_on_sees_as_it_is_told(tmp_path, tiny_store):
    lines = '[variants.few.pretraining]\nobjective = "left-to-right"\n[variants.few.continued]\n'
    lines += 'store = "{store}"\nobjective = "masked-lm"\ndirection = "both"\n'
    first, second = read(tmp_path, tiny_store, "[variants.few]", lines).variants["few"].stages()
    assert (first.config.direction, second.config.direction) == ("left", "both")


def test_what_goes_on_is_of_text_that_is_read_as_that_before(tmp_path, tiny_store):
    cased = shutil.copytree(tiny_store, tmp_path / "cased")
    index = json.loads((cased / "store.json").read_text())
    index["tokenizer"]["lowercase"] = not index["tokenizer"]["lowercase"]
    (cased / "store.json").write_text(json.dumps(index))
    with pytest.raises(DataError, match="line .* must read text as that of .*cased was read"):
        read(tmp_path, tiny_store, "[variants.few]", f'[variants.few.continued]\nstore = "{cased}"')


def test_a_start_that_no_variant_reads_is_refused(tmp_path, tiny_store):
    store = f'store = "{tiny_store}"'
    text = RECIPE.replace("[variants.few]", f"[variants.few]\n{store}")
    text = text.replace(
        "[variants.many.pretraining]", f"[variants.many]\n{store}\n[variants.many.pretraining]"
    )
    with pytest.raises(DataError, match="line 6: every variant has a start of its own"):
        read_recipe(write_recipe(tmp_path, tiny_store, text))


def test_a_value_of_several_lines_is_found(tmp_path, tiny_store):
    text = 'train = [\n  "train.tsv",\n  "no.tsv",\n]'
    with pytest.raises(DataError) as caught:
        read(tmp_path, tiny_store, 'train = "train.tsv"', text)
    line = line_of('train = "train.tsv"')
    assert f"line {line}: there is no file" in str(caught.value)


def test_what_is_no_toml(tmp_path, tiny_store):
    with pytest.raises(DataError, match="must be a TOML file: .*line 4"):
        read(tmp_path, tiny_store, "seeds = 2", "seeds 2")
    deep = f"seeds = 2\ndeep = {'[' * 2000}{']' * 2000}"
    with pytest.raises(DataError, match="must be a TOML file: "):
        read(tmp_path, tiny_store, "seeds = 2", deep)


def test_a_byte_order_mark_is_no_part_of_a_recipe(tmp_path, tiny_store):
    recipe = write_recipe(tmp_path, tiny_store)
    recipe.write_text(recipe.read_text(encoding="utf-8"), encoding="utf-8-sig")
    assert read_recipe(recipe).title == "Rates of masking"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("epochs = 1", "epochs = 1\nlimit = 41", "words: limit must be at most the 40 rows"),
        ("sequence_length = 16", "sequence_length = 600", "words: the model has 512 positions"),
    ],
)
def test_rows_that_cannot_be_learned_from_are_found_before(tmp_path, tiny_store, old, new, message):
    with pytest.raises(DataError, match=message):
        check_rows(read(tmp_path, tiny_store, old, new))
    (tmp_path / "test.tsv").write_text("text\tlabel\na1\tother\n", encoding="utf-8")
    with pytest.raises(DataError, match="test.tsv, line 2: .*other"):
        check_rows(read_recipe(write_bad(tmp_path, tiny_store)))


def write_bad(folder, store):
    recipe = write_recipe(folder, store)
    (folder / "test.tsv").write_text("text\tlabel\na1\tother\n", encoding="utf-8")
    return recipe
