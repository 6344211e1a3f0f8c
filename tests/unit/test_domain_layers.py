"""The rooms of the house: imports go down only, the domain is pure, modules are small, public names are explained."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

import kugetsu

ROOT = Path(kugetsu.__file__).parent
#: From the top down: a layer may import itself and those after it.
LAYERS = ("cli", "views", "runtime", "agents", "forge", "log", "domain", "redaction", "host", "model")
IMPURE = {
    "os",
    "time",
    "random",
    "secrets",
    "uuid",
    "datetime",
    "subprocess",
    "socket",
    "select",
    "signal",
    "threading",
    "multiprocessing",
    "asyncio",
    "pathlib",
    "shutil",
    "tempfile",
    "io",
    "sys",
    "portalocker",
    "loguru",
    "logging",
}
LONGEST = 500
LONGEST_FUNCTION = 59
#: The one module that may use private modules of the interpreter.
LEAN = Path("model/lean.py")

MODULES = sorted(path.relative_to(ROOT) for path in ROOT.rglob("*.py"))


@cache
def parsed(module: Path) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def room(parts: list[str]) -> str:
    """The layer that a dotted name below `kugetsu` belongs to; "" is the package itself, which may import everything,
    and of which others see the version only."""
    return parts[0] if parts and parts[0] in LAYERS else ""


@cache
def imported(module: Path) -> list[tuple[int, str, bool]]:
    """Line, dotted name and "only for types" of everything that a module imports, at whatever depth."""
    found: list[tuple[int, str, bool]] = []
    package = ["kugetsu", *module.parts[:-1]]

    def visit(node: ast.AST, types_only: bool) -> None:
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            for inside in node.body:
                visit(inside, True)
            for outside in node.orelse:
                visit(outside, types_only)
            return
        if isinstance(node, ast.Import):
            found.extend((node.lineno, alias.name, types_only) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            found.extend((node.lineno, f"{source}.{alias.name}", types_only) for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child, types_only)

    visit(parsed(module), False)
    return found


def allowed(importer: str, target: str, types_only: bool) -> bool:
    """Whether a layer may import another; ``types_only`` imports are not there at run time."""
    if "" in (importer, target) or importer == target:
        return True
    if importer == "domain":
        return target == "model"
    if types_only and target == "domain":
        # Signatures may name the domain's types from anywhere below it.
        return True
    return LAYERS.index(importer) < LAYERS.index(target)


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_imports_go_down_only(module: Path) -> None:
    importer = room(list(module.with_suffix("").parts))
    up = [
        f"{module}:{line} imports {name}"
        for line, name, types_only in imported(module)
        if name.split(".")[0] == "kugetsu" and not allowed(importer, room(name.split(".")[1:]), types_only)
    ]
    assert up == []


def test_every_module_has_a_room() -> None:
    beside = {"__init__.py", "__main__.py", "secret_shapes.py"}  # the last by a name of earlier versions
    assert {module.parts[0] for module in MODULES} - beside == set(LAYERS)


@pytest.mark.parametrize("module", [module for module in MODULES if module.parts[0] == "domain"], ids=str)
def test_the_domain_imports_no_clock_no_file_no_process(module: Path) -> None:
    assert [name for _, name, _ in imported(module) if name.split(".")[0] in IMPURE] == []


def test_the_domain_calls_no_clock() -> None:
    pure = {f"kugetsu.model.clock.{name}" for name in ("add_seconds", "seconds_between", "parse", "pause_lasts")}
    pure.add("kugetsu.model.clock.MARGIN_SECONDS")
    for module in (module for module in MODULES if module.parts[0] == "domain"):
        clocks = {name for _, name, _ in imported(module) if name.startswith("kugetsu.model.clock")}
        assert clocks <= pure, module


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_no_module_is_longer_than_what_one_can_hold_in_the_head(module: Path) -> None:
    assert len((ROOT / module).read_text(encoding="utf-8").splitlines()) <= LONGEST


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_every_function_fits_a_screen(module: Path) -> None:
    functions = [node for node in ast.walk(parsed(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    lengths = {f"{module}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert [name for name, length in lengths.items() if length > LONGEST_FUNCTION] == []


@pytest.mark.parametrize("module", [module for module in MODULES if module != LEAN], ids=str)
def test_no_private_module_of_others_is_imported(module: Path) -> None:
    private = [
        f"{module}:{line} {name}"
        for line, name, _ in imported(module)
        if not name.startswith(("kugetsu", "__future__")) and any(part.startswith("_") for part in name.split("."))
    ]
    assert private == []


def import_graph() -> dict[str, set[str]]:
    """The modules of kugetsu that each module imports, at whatever depth and be it for types only."""
    names = {
        ".".join(["kugetsu", *module.with_suffix("").parts]).removesuffix(".__init__"): module for module in MODULES
    }
    graph: dict[str, set[str]] = {name: set() for name in names}
    for name, module in names.items():
        for _, target, _ in imported(module):
            found = target if target in names else target.rpartition(".")[0]
            if found in names and found != name:
                graph[name].add(found)
    return graph


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The groups of nodes that all reach one another."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        seen, open_ = set[str](), list(graph[start])
        while open_:
            node = open_.pop()
            if node not in seen:
                seen.add(node)
                open_ += graph[node]
        reached[start] = seen
    found = {frozenset(other for other in reached[node] if node in reached[other]) for node in graph}
    return sorted(sorted(group) for group in found if len(group) > 1)


def test_no_imports_go_in_a_circle() -> None:
    assert circles(import_graph()) == []


def test_a_circle_of_imports_is_found() -> None:
    graph = {"a": {"b"}, "b": {"c"}, "c": {"b", "d"}, "d": set()}
    assert circles(graph) == [["b", "c"]]


@pytest.mark.parametrize("module", MODULES, ids=str)
def test_public_names_have_docstrings(module: Path) -> None:
    tree = parsed(module)
    assert ast.get_docstring(tree), f"{module} does not say what it is for"
    assert [f"{module}:{node.lineno} {node.name}" for node in public(tree) if not ast.get_docstring(node)] == []


def public(parent: ast.Module | ast.ClassDef) -> list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef]:
    """The functions and classes of a module that others may use, and their methods."""
    found: list[ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef] = []
    for node in parent.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += public(node)
    return found


def test_an_import_that_goes_up_is_found() -> None:
    assert not allowed("domain", "log", False)
    assert not allowed("log", "runtime", True)
    assert not allowed("model", "runtime", True)
    assert not allowed("model", "domain", False)
    assert allowed("model", "domain", True)
    assert allowed("cli", "domain", False)
