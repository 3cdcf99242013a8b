"""tidy.py against trees that break one rule each: every rule must find its fault, and only there.

    tidy_test.py TIDY.py
"""
import pathlib
import subprocess
import sys
import tempfile

HEADER = "// What it is.\n#pragma once\n\nnamespace postring::queue {\n\n%s}\n"
LONG_FUNCTION = "void f(int a,\n       int b) {\n" + "  g();\n" * 80 + "}\n\n"
LONG_CONSTRUCTOR = "A::A()\n    : a_(1),\n      b_(2) {\n" + "  g();\n" * 80 + "}\n\n"

# (rule, file, text, what the message says); without a message the file must be fine.
CASES = [
    ("floors", "src/queue/a.h", '#include "delivery/x.h"\n' + HEADER % "",
     "queue/ may not include delivery/"),
    ("floors", "src/queue/a.h", '#include "a.h"\n' + HEADER % "",
     "include from the root"),
    ("floors", "src/other/a.h", "// A.\n#pragma once\nnamespace postring::other {}\n", "has no floor"),
    ("seams", "src/queue/a.h", HEADER % "auto t = std::chrono::steady_clock::now();\n", "reads a clock"),
    ("seams", "src/queue/a.h", HEADER % "int x = rand();\n", "makes randomness"),
    ("seams", "src/queue/a.h", HEADER % "thread_local int x;\n", "thread_local"),
    ("seams", "src/queue/a.h", HEADER % "std::mutex m;\n", "threads and locks"),
    ("seams", "src/queue/a.h", HEADER % "std::map<Home*, int> m;\n", "ordered by address"),
    ("seams", "src/queue/a.h", HEADER % "double x;\n", "a float"),
    ("seams", "src/queue/a.h", HEADER % "// double std::mutex rand()\nauto s = \"double rand()\";\n", None),
    ("hash_order", "src/queue/a.h",
     HEADER % "std::unordered_map<int, int> m_;\nvoid f() { for (auto& x : m_) g(x); }\n", "hash table"),
    ("hash_order", "src/queue/a.h",
     HEADER % "std::unordered_map<int, int> m_;\n// any order: a sum\n"
              "void f() { for (auto& x : m_) g(x); }\n", None),
    ("lengths", "src/queue/a.h", HEADER % ("// " + "x" * 98 + "\n"), "101 columns"),
    ("lengths", "src/queue/a.h", HEADER % LONG_FUNCTION, "function of 83 lines"),
    ("lengths", "src/queue/a.h", HEADER % LONG_CONSTRUCTOR, "function of 84 lines"),
    ("lengths", "src/queue/a.h", HEADER % ("class A {\n" + "  int f();\n" * 90 + "};\n"), None),
    ("lengths", "src/queue/a.h", HEADER % ("int x;\n" * 800), "split it"),
    ("headers", "src/queue/a.h", "#pragma once\nnamespace postring::queue {}\n", "opens with a comment"),
    ("headers", "src/queue/a.h", "// A.\nnamespace postring::queue {}\n", "#pragma once"),
    ("namespaces", "src/queue/a.h", "// A.\n#pragma once\nnamespace postring::mail {\n}\n", "belongs to"),
    ("names", "src/queue/Bad.h", HEADER % "", "snake_case"),
    ("names", "src/queue/util/a.h", HEADER % "", "says nothing"),
    ("words", "src/queue/a.h", HEADER % ("// TO" + "DO later\n"), "note to oneself"),
    ("words", "src/queue/a.h", HEADER % ("// /wo" + "rk/main\n"), "path of one machine"),
    ("whitespace", "src/queue/a.h", HEADER % "int x;  \n", "blanks at the end"),
    ("whitespace", "src/queue/a.h", HEADER % "\tint x;\n", "a tab"),
    ("whitespace", "src/queue/a.h", (HEADER % "") + "\n", "one newline"),
]


def run(tidy, path, text):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        (root / "src/base").mkdir(parents=True)
        (root / "src/base/check.h").write_text("// Check.\n#pragma once\nnamespace postring {\n}\n")
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        done = subprocess.run([sys.executable, tidy, folder], capture_output=True, text=True,
                              check=False)
        return done.returncode, done.stdout


def main():
    failed = 0
    for number, (rule, path, text, message) in enumerate(CASES):
        status, output = run(sys.argv[1], path, text)
        complaints = [line for line in output.splitlines() if line.startswith("not ok")]
        if message is None:
            good = status == 0 and not complaints
        else:
            good = status == 1 and any(
                line.startswith(f"not ok tidy.{rule}: {path}:") and message in line
                for line in complaints)
        if good:
            print(f"ok {rule}_{number}")
        else:
            failed += 1
            print(f"not ok {rule}_{number}: expected '{message}', got {complaints}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
