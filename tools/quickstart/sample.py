"""The sample: a small project with its tests, six issues, and how a scripted model solves each.

A real model gets the issues alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

FILES = {
    "README.md": "# todo\n\nA todo list in a text file.\n\n    python3 todo.py add buy milk\n    python3 todo.py\n",
    "todo.py": '''"""A todo list in a text file."""

import sys
from pathlib import Path

FILE = Path("todo.txt")


def items():
    return FILE.read_text().splitlines() if FILE.exists() else []


def add(text):
    FILE.write_text("".join(line + "\\n" for line in [*items(), text]))


def show():
    for item in items():
        print(item)


def main(arguments):
    if arguments[:1] == ["add"]:
        add(" ".join(arguments[1:]))
    else:
        show()


if __name__ == "__main__":
    main(sys.argv[1:])
''',
    "test_todo.py": """import os
import tempfile
import unittest

import todo


class TodoTest(unittest.TestCase):
    def setUp(self):
        os.chdir(tempfile.mkdtemp())

    def test_what_is_added_is_shown(self):
        todo.add("buy milk")
        self.assertEqual(todo.items(), ["buy milk"])


if __name__ == "__main__":
    unittest.main()
""",
    ".gitignore": "__pycache__/\ntodo.txt\n",
}


@dataclass(frozen=True)
class Issue:
    """One issue of the sample: ``text`` is the task's message, ``script`` what the scripted model does about it."""

    number: int
    title: str
    text: str
    script: str


TEST = "run python3 -m unittest -q"

ISSUES = (
    Issue(
        1,
        "Number the items",
        "`python3 todo.py` shows the items without numbers. Number them, from 1.",
        f"""say I look at how the items are shown.
read todo.py
sleep 1
say Now I number them.
edit todo.py
-     for item in items():
-         print(item)
+     for number, item in enumerate(items(), 1):
+         print(f"{{number}}. {{item}}")
{TEST}""",
    ),
    Issue(
        2,
        "Refuse an empty item",
        "`python3 todo.py add` with nothing behind it adds an empty line. It should say so, and exit with 1.",
        f"""say I look at the code first.
read todo.py
sleep 2
edit todo.py
- def add(text):
+ def add(text):
+     if not text.strip():
+         sys.exit("todo: say what to add")
{TEST}""",
    ),
    Issue(
        3,
        "Count the items",
        "Add a command `count` that prints how many items there are.",
        f"""read todo.py
sleep 1
say A small branch in main is enough.
edit todo.py
-     else:
-         show()
+     elif arguments[:1] == ["count"]:
+         print(len(items()))
+     else:
+         show()
{TEST}""",
    ),
    Issue(
        4,
        "Write down how it is used",
        "There is no page that tells how the program is used. Write docs/usage.md, and name it in the README.",
        """run mkdir -p docs && cat README.md
write docs/usage.md
| # Usage
|
|     python3 todo.py              shows the items
|     python3 todo.py add TEXT     adds one
sleep 1
run printf '\\nMore in docs/usage.md.\\n' >> README.md && git status --short""",
    ),
    Issue(
        5,
        "Test a list of several items",
        "Only one item is tested. Test that several items keep their order.",
        f"""read test_todo.py
edit test_todo.py
-         self.assertEqual(todo.items(), ["buy milk"])
+         self.assertEqual(todo.items(), ["buy milk"])
+
+     def test_items_keep_their_order(self):
+         for item in ("one", "two", "three"):
+             todo.add(item)
+         self.assertEqual(todo.items(), ["one", "two", "three"])
sleep 1
{TEST}""",
    ),
    Issue(
        6,
        "Remove finished items",
        "Add a command `done NUMBER` that removes an item, with a test.",
        f"""read todo.py
say I add the command, then its test.
edit todo.py
-     else:
-         show()
+     elif arguments[:1] == ["done"]:
+         rest = items()
+         del rest[int(arguments[1]) - 1]
+         FILE.write_text("".join(line + "\\n" for line in rest))
+     else:
+         show()
read test_todo.py
edit test_todo.py
-         self.assertEqual(todo.items(), ["buy milk"])
+         self.assertEqual(todo.items(), ["buy milk"])
+
+     def test_a_finished_item_goes(self):
+         todo.add("buy milk")
+         todo.main(["done", "1"])
+         self.assertEqual(todo.items(), [])
{TEST}""",
    ),
)


def write_files(repo: Path) -> None:
    """The project's files."""
    for name, text in FILES.items():
        (repo / name).write_text(text, encoding="utf-8")


def write_issues(folder: Path) -> None:
    """One file an issue: the message of its task."""
    folder.mkdir()
    for issue in ISSUES:
        (folder / f"{issue.number}.md").write_text(f"{issue.title}\n\n{issue.text}\n", encoding="utf-8")


def write_recipes(path: Path) -> None:
    """What the scripted model does for each issue: the steps above, then commit and push."""
    recipes = []
    for issue in ISSUES:
        commit = f"run git add . && git commit -qm '{issue.title}' && git push -qu origin HEAD && git log -1 --oneline"
        said = f"say {issue.title}: done, tested where there are tests, committed and pushed."
        steps = f"{issue.script}\n{commit}\n{said}\n"
        # The server expands the text like a regular expression's replacement.
        recipes.append({"match": f"{issue.title}\\n", "script": steps.replace("\\", "\\\\")})
    path.write_text(json.dumps(recipes, indent=1) + "\n", encoding="utf-8")
