"""The rules of the source tree that a program can check: floors, seams, sizes and words.

    tidy.py [ROOT]      (default: the tree this file is in)

Prints `ok RULE` or `not ok RULE: FILE:LINE: what is wrong and what to do` and exits 1 where a rule is
broken. Every rule is a function below that takes a file and yields (line, message).
"""
import os
import pathlib
import re
import sys

# What each folder of src/ may include besides itself. engine/ and cli/ join what the others know apart.
GROUND = {"base"}
FLOOR_1 = {"io", "mail", "throttle"}
FLOOR_2 = {"spool", "dns", "smtp", "http"}
FLOOR_3 = {"queue", "traffic"}
FLOOR_4 = {"delivery", "submission", "reporting"}
MAY_INCLUDE = {
    "base": set(),
    **{folder: GROUND for folder in FLOOR_1},
    **{folder: GROUND | FLOOR_1 for folder in FLOOR_2},
    **{folder: GROUND | FLOOR_1 | FLOOR_2 for folder in FLOOR_3},
    **{folder: GROUND | FLOOR_1 | FLOOR_2 | FLOOR_3 for folder in FLOOR_4},
    "engine": GROUND | FLOOR_1 | FLOOR_2 | FLOOR_3 | FLOOR_4,
    "cli": GROUND | FLOOR_1 | FLOOR_2 | FLOOR_3 | FLOOR_4 | {"engine"},
}

# The whole process's names: every floor speaks of recipients and outcomes.
PLAIN_NAMESPACE_FOLDERS = {"base", "io"}
PLAIN_NAMESPACE_FILES = {"src/mail/class_text.h", "src/mail/ids.h", "src/mail/outcome.h"}

# What would leak past the seams. Everywhere in src/ but io/ (and cli/, whose commands are ordinary
# programs that talk to a daemon and have no simulation).
BANNED = [
    (r"std::chrono::\w+_clock|\bclock_gettime\b|\bgettimeofday\b|(?<![\w.>:])time\((nullptr|NULL|0|&)",
     "reads a clock: take the time as an argument (io/clock.h is read once per loop turn)"),
    (r"std::random_device|(?<![\w.>:])s?rand\(|\bgetrandom\b|\barc4random|std::mt19937",
     "makes randomness: take a base/random.h Random or use io/entropy.h"),
    (r"\bthread_local\b", "thread_local: pass the worker's context"),
    (r"std::this_thread|std::j?thread\b|std::(shared_|recursive_)?mutex\b|std::condition_variable"
     r"|std::atomic\b|std::async\b", "threads and locks belong to io/: use its mailbox or offload"),
    (r"#include <(liburing|ares|sys/epoll|sys/socket|sys/mman|netdb)(\.h)?>",
     "the system's interfaces belong to io/"),
    (r"std::(map|set)<(const )?\w+(::\w+)*\s*\*", "ordered by address: runs would differ"),
    (r"\b(un)?ordered_(map|set)<(const )?\w+(::\w+)*\s*\*", "hashed by address: runs would differ"),
]
# Folders whose code decides something; a float there would decide differently on another machine.
NO_FLOATS = {"base", "mail", "throttle", "spool", "dns", "smtp", "queue", "traffic", "delivery"}

LINE_COLUMNS_MAX = 100
FILE_LINES_WARN, FILE_LINES_MAX = 500, 700
FUNCTION_LINES_MAX = 70
TEST_FUNCTION_LINES_MAX = 120

# Put together so that this file does not hold them.
LEFTOVERS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX|HA" + r"CK)\b")
MACHINE_PATHS = re.compile(r"(?<![\w./])/(wo" + r"rk|ro" + r"ot|ho" + r"me/\w+)/")
OUTSIDE_WORDS = re.compile(r"des" + r"ign\.md|(?<![\w/])sha" + r"red/")

CODE = {".h", ".cc"}
SCRIPT = {".py", ".sh", ""}
TOP_FOLDERS = ("src", "tests", "tools", "bench", "tuning")


class File:
    def __init__(self, root, path):
        self.path = path.relative_to(root).as_posix()
        self.suffix = path.suffix
        self.parts = self.path.split("/")
        self.text = path.read_text(encoding="utf-8", errors="surrogateescape")
        self.lines = self.text.splitlines()
        self.is_code = self.suffix in CODE
        self.in_src = self.parts[0] == "src"
        # The folder of src/ that it belongs to; "main" for src/main.cc.
        self.floor = None
        if self.in_src:
            self.floor = self.parts[1] if len(self.parts) > 2 else "main"
        self._bare = None

    @property
    def bare(self):
        """The lines with comments and the insides of literals blanked out."""
        if self._bare is None:
            self._bare = strip_code(self.text).splitlines() if self.is_code else self.lines
        return self._bare


def strip_code(text):
    """Blanks comments and literals, keeping every line where it is."""
    pattern = re.compile(
        r'(?P<include>^[ \t]*#[ \t]*include[^\n]*)|//[^\n]*|/\*.*?\*/'
        r'|R"(?P<raw>[^()\\ ]{0,16})\(.*?\)(?P=raw)"|"(?:\\.|[^"\\\n])*"'
        r"|(?<![0-9a-fA-F])'(?:\\.|[^'\\\n])+'",
        re.DOTALL | re.MULTILINE)

    def blank(match):
        if match.group("include") is not None:
            return match.group(0)
        return re.sub(r"[^\n]", " ", match.group(0))

    return pattern.sub(blank, text)


def files_of(root):
    for top in TOP_FOLDERS:
        for folder, subfolders, names in os.walk(root / top):
            subfolders[:] = sorted(
                s for s in subfolders if s != "__pycache__" and not s.startswith((".", "build")))
            for name in sorted(names):
                path = pathlib.Path(folder) / name
                if path.suffix in CODE | SCRIPT | {".build", ".toml", ".md", ".yaml", ".json"}:
                    yield File(root, path)
    for name in ("README.md", "meson.build"):
        if (root / name).exists():
            yield File(root, root / name)


def floors(file):
    """A folder includes only what its floor allows."""
    if not file.in_src or not file.is_code or file.floor == "main":
        return
    if file.floor not in MAY_INCLUDE:
        yield 1, f"folder '{file.floor}' has no floor; add it to MAY_INCLUDE or put the file elsewhere"
        return
    allowed = MAY_INCLUDE[file.floor] | {file.floor}
    for number, line in enumerate(file.bare, 1):
        match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
        if not match:
            continue
        target = match.group(1).split("/")[0]
        if "/" not in match.group(1):
            yield number, f'"{match.group(1)}": include from the root of src/ ("folder/file.h")'
        elif target not in allowed:
            yield number, f"{file.floor}/ may not include {target}/"


def seams(file):
    """Clocks, randomness, threads, sockets and floats stay behind the seams."""
    if not file.in_src or not file.is_code or file.floor == "io":
        return
    for number, line in enumerate(file.bare, 1):
        if file.floor not in ("cli", "main"):
            for pattern, why in BANNED:
                if re.search(pattern, line):
                    yield number, why
        if file.floor in NO_FLOATS and re.search(r"\b(float|double)\b", line):
            yield number, "a float where something is decided: count in integers"


def hash_order(file):
    """No loop over a hash table, unless the line or the one above says `any order:` and why."""
    if not file.in_src or not file.is_code or file.floor in ("io", "cli", "main"):
        return
    declared = set(re.findall(r"unordered_(?:map|set)<[^;{}()]*>\s+(\w+)\s*[;{=]", "\n".join(file.bare)))
    header = pathlib.Path(sys_root) / file.path[:-3]
    if file.suffix == ".cc" and header.with_suffix(".h").exists():
        text = strip_code(header.with_suffix(".h").read_text(encoding="utf-8"))
        declared |= set(re.findall(r"unordered_(?:map|set)<[^;{}()]*>\s+(\w+)\s*[;{=]", text))
    for number, line in enumerate(file.bare, 1):
        match = re.search(r"\bfor\s*\([^;]*:\s*(?:\w+(?:\.|->))*(\w+)\)", line)
        if match and match.group(1) in declared:
            said = file.lines[number - 1] + (file.lines[number - 2] if number > 1 else "")
            if "any order:" not in said:
                yield number, (f"goes over the hash table '{match.group(1)}': keep a sorted or "
                               "insertion-ordered list, or say `// any order: why`")


def lengths(file):
    """Lines, files and functions fit a screen."""
    if file.is_code or file.suffix == ".py":
        for number, line in enumerate(file.lines, 1):
            if len(line) > LINE_COLUMNS_MAX + (10 if file.suffix == ".py" else 0):
                yield number, f"{len(line)} columns; at most {LINE_COLUMNS_MAX}"
    if file.is_code:
        if len(file.lines) > FILE_LINES_MAX:
            yield 1, f"{len(file.lines)} lines; at most {FILE_LINES_MAX}: split it"
        elif len(file.lines) > FILE_LINES_WARN:
            warnings.append(f"{file.path}: {len(file.lines)} lines, more than {FILE_LINES_WARN}")
        yield from function_lengths(file)


NOT_A_FUNCTION = re.compile(
    r"^\s*(namespace|class|struct|enum|union|extern|if|for|while|switch|do|else|case|default|return|"
    r"constexpr \w+ \w+\[|static constexpr \w+ \w+\[)\b")


def function_lengths(file):
    """A function: from the first line of its statement to the brace that closes it."""
    limit = FUNCTION_LINES_MAX if file.in_src else TEST_FUNCTION_LINES_MAX
    number = 0
    while number < len(file.bare):
        start = number
        number += 1
        if not file.bare[start].rstrip().endswith("{"):
            continue
        end = closing_line(file.bare, start)
        indent = indent_of(file.bare[end])
        first = start
        while first > 0 and indent_of(file.bare[first]) > indent:
            first -= 1
        statement = " ".join(file.bare[first:start + 1])
        if "(" not in statement or NOT_A_FUNCTION.match(statement) or indent > 4:
            continue
        if re.search(r"=\s*\{$", statement.rstrip()):
            continue
        if end - first + 1 > limit:
            yield first + 1, f"function of {end - first + 1} lines; at most {limit}"
        number = end


def indent_of(line):
    return len(line) - len(line.lstrip())


def closing_line(lines, start):
    """The line on which the brace that ends line `start` is closed."""
    depth = 1
    for end in range(start + 1, len(lines)):
        for c in lines[end]:
            depth += (c == "{") - (c == "}")
            if depth == 0:
                return end
    return len(lines) - 1


def headers(file):
    """A header opens with what it is, and is read once."""
    if file.suffix != ".h":
        return
    if not file.lines or not file.lines[0].startswith("//"):
        yield 1, "a header opens with a comment: what it is, how it is used, what can go wrong"
    if not any(line.strip() == "#pragma once" for line in file.lines):
        yield 1, "#pragma once is missing"


def namespaces(file):
    """Everything lies in postring or postring::FOLDER."""
    if not file.in_src or not file.is_code or file.floor == "main":
        return
    plain = file.floor in PLAIN_NAMESPACE_FOLDERS or file.path in PLAIN_NAMESPACE_FILES
    wanted = "postring" if plain else f"postring::{file.floor}"
    found = False
    for number, line in enumerate(file.bare, 1):
        match = re.match(r"namespace ([\w:]*)\s*\{", line)
        if not match or match.group(1) == "":
            continue
        name = match.group(1)
        # Names of another folder may be declared ahead.
        block = " ".join(file.bare[number - 1:number + 20]).split("{", 1)[1].split("}")[0]
        if re.fullmatch(r"(\s*(class|struct|enum class) [\w ]+(: \w+)?;)+\s*", block):
            continue
        if name == wanted or name.startswith(wanted + "::"):
            found = True
        else:
            yield number, f"namespace {name}; this file belongs to {wanted}"
    if not found:
        yield 1, f"nothing in namespace {wanted}"


def names(file):
    """Files have plain names, and no drawer holds everything."""
    for part in file.parts[:-1]:
        if part in ("util", "utils", "common", "helpers", "misc"):
            yield 1, f"folder '{part}' says nothing: name it after what it holds"
    if file.is_code and not re.fullmatch(r"[a-z][a-z0-9_]*\.(h|cc)", file.parts[-1]):
        yield 1, "file names are snake_case.h and snake_case.cc"


def words(file):
    """No leftovers, nothing of the machine it was written on."""
    if file.suffix == ".json" and file.parts[0] == "tests":
        return
    for number, line in enumerate(file.lines, 1):
        if LEFTOVERS.search(line):
            yield number, "a note to oneself: do it, or say in words what is missing"
        if MACHINE_PATHS.search(line):
            yield number, "a path of one machine"
        if OUTSIDE_WORDS.search(line):
            yield number, "speaks of something outside this tree"


def whitespace(file):
    """No tabs, no trailing blanks, one newline at the end."""
    if not (file.is_code or file.suffix in (".py", ".md", ".build")):
        return
    for number, line in enumerate(file.lines, 1):
        if line != line.rstrip():
            yield number, "blanks at the end of the line"
        if "\t" in line:
            yield number, "a tab; indent with spaces, write \\t in literals"
    if file.text and (not file.text.endswith("\n") or file.text.endswith("\n\n")):
        yield len(file.lines), "a file ends with one newline"


RULES = [floors, seams, hash_order, lengths, headers, namespaces, names, words, whitespace]
warnings = []
sys_root = pathlib.Path(__file__).resolve().parents[2]


def main():
    global sys_root
    if len(sys.argv) > 1:
        sys_root = pathlib.Path(sys.argv[1]).resolve()
    everything = list(files_of(sys_root))
    if not any(file.path == "src/base/check.h" for file in everything):
        print(f"not ok tree: {sys_root} is not postring's source tree")
        return 1
    broken = 0
    for rule in RULES:
        wrong = [f"{file.path}:{line}: {message}"
                 for file in everything for line, message in rule(file)]
        broken += len(wrong)
        if not wrong:
            print(f"ok tidy.{rule.__name__}")
        for message in wrong:
            print(f"not ok tidy.{rule.__name__}: {message}")
    for warning in warnings:
        print(f"warning: {warning}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
