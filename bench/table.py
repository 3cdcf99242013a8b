"""Puts the figures of a run into bench/README.md.

    tools/bench --json figures.json
    python3 bench/table.py figures.json

The table between the two marks of the README is written anew from the file; the rest is left alone.
"""
import json
import pathlib
import sys

import lab

README = pathlib.Path(__file__).resolve().parent / "README.md"
BEGIN, END = "<!-- figures -->\n", "<!-- end of figures -->\n"


def written(value):
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value == int(value) else f"{value:.2f}"


def table(figures):
    machine = ", ".join(f"{name} {value}" for name, value in figures["machine"].items())
    lines = [f"Scale {figures['scale']:g}. {machine[0].upper()}{machine[1:]}.", "",
             "| figure | measured | target | |", "|---|---:|---:|---|"]
    for name, value in figures.items():
        if not isinstance(value, (int, float)) or name == "scale":
            continue
        target = " ".join(f"{word:,}" if not isinstance(word, str) else word
                          for word in lab.TARGETS.get(name, ()))
        lines.append(f"| `{name}` | {written(value)} | {target} | {lab.verdict(name, value)} |")
    return "\n".join(lines) + "\n"


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    figures = json.loads(pathlib.Path(sys.argv[1]).read_text())
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(before + BEGIN + table(figures) + END + after)


main()
