"""The Python reference: every public name with its signature and its docstring.

The code is read, not imported.
"""

import pathlib
import re

import griffe

from kbert import _HOMES

# Of a docstring: the title of a list, and an item of it.
_TITLE = re.compile(r"(Args|Returns|Raises|Attributes|Call arguments|Inputs|Outputs)\b[^:]*:")
_ITEM = re.compile(r"(?<!.)(\*{0,2}\w+(?:, \*{0,2}\w+)*):(.*)")
_ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
# Title of a section -> the parts of kbert whose names stand in it.
_SECTIONS = {
    "Text": ("text", "corpus"),
    "Layers and models": ("config", "layers", "models"),
    "Checkpoints": ("checkpoints",),
    "Pre-training": ("pretraining",),
    "Tasks": ("tasks",),
    "Fine-tuning": ("finetuning",),
    "Answers": ("inference", "serving"),
}


def write_reference(file: pathlib.Path) -> None:
    """Write the page of all names that `import kbert` gives."""
    package = griffe.load("kbert", search_paths=[_ROOT])
    lines = ["# Python\n", "What `import kbert` gives, by its names.\n"]
    for title, parts in _SECTIONS.items():
        lines.append(f"## {title}\n")
        for name, home in _HOMES.items():
            if home.split(".")[1] in parts:
                lines += _described(
                    package[f"{home.removeprefix('kbert.')}.{name}"], f"kbert.{name}"
                )
    file.write_text("\n".join(lines), encoding="utf-8")


def _described(found: griffe.Object, name: str) -> list[str]:
    """A heading, the signature, the docstring; of a class its public methods too."""
    lines = [f"### {name}\n", *_signature(found, name), *_docstring(found)]
    if isinstance(found, griffe.Class):
        for member in found.members.values():
            if isinstance(member, griffe.Function) and not member.name.startswith("_"):
                lines += [f"**{name}.{member.name}**\n", *_signature(member, member.name)]
                lines += _docstring(member)
    return lines


def _signature(found: griffe.Object, name: str) -> list[str]:
    parameters = [p for p in found.parameters if p.name not in ("self", "cls")]
    words = [_parameter(parameter) for parameter in parameters]
    call = f"{name}({', '.join(words)})"
    if len(call) > 88:
        call = f"{name}(\n" + "".join(f"    {word},\n" for word in words) + ")"
    returns = getattr(found, "returns", None)
    return [f"```python\n{call}{f' -> {returns}' if returns is not None else ''}\n```\n"]


def _parameter(parameter: griffe.Parameter) -> str:
    kind = griffe.ParameterKind
    stars = {kind.var_positional: "*", kind.var_keyword: "**"}.get(parameter.kind, "")
    word = stars + parameter.name
    if parameter.annotation is not None:
        word += f": {parameter.annotation}"
    if parameter.default is not None and not stars:
        word += f" = {parameter.default}"
    return word


def _docstring(found: griffe.Object) -> list[str]:
    """As Markdown: "Args:" and the like in italics, what they list as a list."""
    text = "" if found.docstring is None else found.docstring.value
    lines: list[str] = []
    listing = False
    for line in text.splitlines():
        if _TITLE.fullmatch(line):
            lines += ["", f"*{line}*", ""]
            listing = True
        elif listing and line.startswith("    "):
            lines.append(_ITEM.sub(r"- `\1`:\2", line[4:]))
        else:
            listing = listing and not line
            lines.append(line)
    return [*lines, ""]
