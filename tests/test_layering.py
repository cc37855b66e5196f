"""The design's rules about who may import whom, read off the syntax trees."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "fetchq"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

# From the bottom to the top: a module imports from its own layer and from those before it.
LAYERS = [
    {
        "frozen",
        "values",
        "model",
        "moment",
        "printable",
        "knobs",
        "name_servers",
        "rowset",
        "storage",
        "spool",
        "whole",
    },
    {"settings", "display"},
    {"policy", "decode", "guard", "robots", "descriptors"},
    {"engines", "job", "host_key", "by_address", "rate", "manners", "lane", "hosts", "rotation", "schedule", "obedient"}
    | {"backlog", "queue"},
    {
        "pool",
        "async_pool",
        "blocking_pool",
        "serial_pool",
        "thread_pool",
        "sinks",
        "rows",
        "csv_rows",
        "lists",
        "sources",
        "summary",
    }
    | {"folder", "schema", "ledger_file", "ledger", "stored", "scratch", "twins", "earlier", "choice"},
    {"run", "writer", "kept", "begun", "session", "durable"},
    {"api", "compare", "diff", "views"},
    {"practice", "server"},
    {"cli", "__main__"},
]

# Each of these libraries is known to one module alone, which can so be replaced, or do without it.
HOMES = {
    "aiohttp": {
        "fetchq.engines.aiohttp.engine",
        "fetchq.engines.aiohttp.connection",
        "fetchq.engines.aiohttp.connector",
        "fetchq.engines.aiohttp.failures",
    },
    "aiohttp.web": {"fetchq.cli.practice.routes", "fetchq.cli.practice.server"},
    "requests": {"fetchq.engines.requests.engine"},
    "urllib3": {"fetchq.engines.requests.connection"},
    "h11": {"fetchq.engines.requests.response"},
    "aiodns": {"fetchq.engines.aiohttp.resolver"},
    "brotli": {"fetchq.http.content_coding"},
    "backports": {"fetchq.http.content_coding"},
    "compression": {"fetchq.http.content_coding"},
    "certifi": {"fetchq.engines.tls"},
    "uvloop": {"fetchq.cli.loop"},
    "rich": {"fetchq.cli.progress"},
    "platformdirs": {"fetchq.cli.options"},
    "codetiming": {"fetchq.workers.settle"},
    "filelock": {"fetchq.store.folder"},
    "sqlite3": {"fetchq.store.ledger", "fetchq.store.ledger_connection", "fetchq.store.scratch_db"},
    "warcio": {"fetchq.store.sinks.bodies_warc"},
    "publicsuffixlist": {"fetchq.scheduling.host_key"},
    "protego": {"fetchq.http.robots_txt"},
    "pyarrow": {"fetchq.store.sinks.bodies_parquet", "fetchq.store.sinks.records_parquet"},
}
LONGEST = 350
"""Lines of a module beyond which a concept is probably missing."""


def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


def imports_of(module: str) -> Iterator[str]:
    """Every module that `module` imports, also for types alone, and also by name."""
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import"
            assert node.module is not None
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield full if full in MODULES or full in HOMES else node.module
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_module":
            yield from (
                one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
            )


def layer_of(module: str) -> int:
    part = module.split(".")[1]
    return next(number for number, layer in enumerate(LAYERS) if part in layer)


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"fetchq"}))
def test_a_module_imports_only_from_its_layer_and_those_below(module: str) -> None:
    for imported in imports_of(module):
        if imported.startswith("fetchq."):
            assert layer_of(imported) <= layer_of(module), f"{module} imports {imported}"


def test_no_two_modules_import_each_other() -> None:
    graph = {module: {one for one in imports_of(module) if one in MODULES and one != "fetchq"} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*path, module))
            done.add(module)

    del graph["fetchq"]
    for module in sorted(graph):
        visit(module, ())


@pytest.mark.parametrize("library", sorted(HOMES))
def test_a_library_is_imported_by_one_module_alone(library: str) -> None:
    deeper = [name for name in HOMES if name.startswith(f"{library}.")]
    importers = {
        module
        for module in MODULES
        for imported in imports_of(module)
        if (imported == library or imported.startswith(f"{library}."))
        and not any(imported == name or imported.startswith(f"{name}.") for name in deeper)
    }
    assert importers <= HOMES[library]
    assert importers or library in ("backports", "compression")


def test_sinks_know_no_engine_and_engines_no_sink() -> None:
    for module in MODULES:
        for imported in imports_of(module):
            assert not (module.startswith("fetchq.store.sinks") and imported.startswith("fetchq.engines"))
            assert not (module.startswith("fetchq.engines") and imported.startswith("fetchq.store.sinks"))


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_fits_in_the_head(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= LONGEST


@pytest.mark.parametrize("module", sorted(set(MODULES) - {"fetchq.cli.serve"}))
def test_the_library_prints_nothing_and_touches_no_signal(module: str) -> None:
    if module.startswith(("fetchq.cli", "fetchq.__main__")):
        return
    for node in ast.walk(tree_of(module)):
        if isinstance(node, ast.Call):
            assert getattr(node.func, "id", "") != "print"
    assert not {"signal", "logging"} & {imported.split(".")[0] for imported in imports_of(module)}


@pytest.mark.parametrize("module", sorted(MODULES))
def test_every_public_thing_is_explained(module: str) -> None:
    tree = tree_of(module)
    assert ast.get_docstring(tree), f"{module} has no docstring"
    public = next((ast.literal_eval(node.value) for node in tree.body if _is_all(node)), [])
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name in public:
            assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
