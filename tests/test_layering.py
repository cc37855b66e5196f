"""The rooms of the package, and what may import what, read off the syntax trees.

A room is a folder of `fetchq/`; `ROOMS` is the whole rule. Imports inside functions and imports for types alone count
like any other. `python tests/test_layering.py` prints the table with what is imported today.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "fetchq"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in PACKAGE.rglob("*.py")
}

ROOMS: dict[str, set[str]] = {
    "core": set(),
    "http": {"core"},
    "scheduling": {"http", "core"},
    "engines": {"http", "core"},
    "inputs": {"http", "core"},
    "workers": {"inputs", "engines", "scheduling", "http", "core"},
    "store": {"inputs", "http", "core"},
    "reports": {"store", "workers", "scheduling", "http", "core"},
    "processes": {"reports", "store", "workers", "inputs", "scheduling", "http", "core"},
    "comparison": {"reports", "store", "workers", "inputs", "http", "core"},
    "cluster": {"reports", "store", "workers", "inputs", "scheduling", "http", "core"},
    "cli": {
        "cluster",
        "comparison",
        "processes",
        "reports",
        "store",
        "workers",
        "inputs",
        "scheduling",
        "http",
        "core",
    },
}
"""Each room, and the rooms that its modules may import from, beside their own."""
BESIDE: dict[str, set[str]] = {
    "_version": set(),
    "client": {"api", "reports", "workers", "inputs", "core"},
    "api": {"pipeline", "reports", "store", "workers", "inputs", "core"},
    "pipeline": {"processes", "reports", "store", "workers", "http", "core"},
    "__main__": {"cli"},
}
"""The modules beside the rooms, and the rooms that they may import from."""
FOR_ALL = {"_version"}
"""Modules beside the rooms that every room may import."""
ABOVE_PIPELINE = {"cli", "cluster", "comparison"}
"""The rooms that may import the pipeline, which is beside them."""

# Each of these libraries is imported by one module alone, which can so be replaced, or do without it.
HOMES = {
    "aiohttp": {
        "fetchq.engines.aiohttp.engine",
        "fetchq.engines.aiohttp.connection",
        "fetchq.engines.aiohttp.failures",
        "fetchq.engines.aiohttp.head_parser",
        "fetchq.engines.aiohttp.pausing",
    },
    "aiohttp.web": {"fetchq.cli.practice.routes", "fetchq.cli.practice.server"},
    "requests": {"fetchq.engines.requests.adapter"},
    "urllib3": {"fetchq.engines.requests.connection"},
    "h11": {"fetchq.engines.requests.response"},
    "idna": {"fetchq.http.international"},
    "aiodns": {"fetchq.engines.aiohttp.resolver"},
    "aiohappyeyeballs": {"fetchq.engines.aiohttp.connector"},
    "brotli": {"fetchq.http.content_coding"},
    "backports": {"fetchq.http.zstd_decoder"},
    "compression": {"fetchq.http.zstd_decoder"},
    "certifi": {"fetchq.engines.tls"},
    "python_socks": {"fetchq.engines.socks"},
    "pydantic_core": {"fetchq.core.pydantic_schema"},
    "uvloop": {"fetchq.workers.process"},
    "rich": {"fetchq.reports.progress_bar"},
    "IPython": {"fetchq.reports.progress_bar"},
    "markdown_it": {"fetchq.inputs.markdown"},
    "platformdirs": {"fetchq.cli.config_file"},
    "codetiming": {"fetchq.workers.worker_clock"},
    "filelock": {"fetchq.store.folder"},
    "sqlite3": {
        "fetchq.store.ledger",
        "fetchq.store.ledger_connection",
        "fetchq.store.ledger_reader",
        "fetchq.store.scratch_db",
    },
    "warcio": {"fetchq.store.sinks.warc_file"},
    "publicsuffixlist": {"fetchq.scheduling.host_key"},
    "pyarrow": {
        *("fetchq.store.sinks.bodies_parquet", "fetchq.store.sinks.large_parquet", "fetchq.store.sinks.parquet_reader"),
        *("fetchq.store.sinks.records_parquet", "fetchq.store.sinks.record_table", "fetchq.reports.data_frames"),
    },
    "fsspec": {"fetchq.cluster.remote_storage"},
    "distributed": {"fetchq.cluster.dask_workers"},
    "pandas": {"fetchq.reports.data_frames"},
    "polars": {"fetchq.reports.data_frames"},
}
NEVER = {
    "http": {"aiohttp", "requests", "urllib3", "asyncio"},
    "scheduling": {"asyncio", "threading", "socket"},
}
"""What a room does without: it is pure."""

LONGEST_MODULE = 300
LONGEST_FUNCTION = 40
MOST_METHODS = 15
EXCEPTIONS: dict[str, str] = {}
"""Modules, functions and classes that are larger, each with the reason; at most three."""


@cache
def tree_of(module: str) -> ast.Module:
    return ast.parse(MODULES[module].read_text())


@cache
def imports_of(module: str) -> tuple[str, ...]:
    """Every module that `module` imports, wherever in it, also for types alone, and also by name."""
    return tuple(_imports_of(module))


def _imports_of(module: str) -> Iterator[str]:
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


def room_of(module: str) -> str:
    """The room that a module lives in; of a module beside them, its own name."""
    return module.split(".")[1]


def allowed_for(module: str) -> set[str]:
    """The rooms, and the modules beside them, that `module` may import from."""
    room = room_of(module)
    allowed = FOR_ALL | {room} | (ROOMS[room] if room in ROOMS else BESIDE[room])
    return allowed | {"pipeline"} if room in ABOVE_PIPELINE else allowed


def test_every_module_is_in_a_room_or_one_of_the_few_beside_them() -> None:
    rooms = {room_of(module) for module in MODULES if module != "fetchq"}
    assert rooms == set(ROOMS) | set(BESIDE)
    assert len(BESIDE) + 1 <= 6, "with __init__"


def test_imports_go_one_way() -> None:
    wrong = [
        f"{module} imports {imported}"
        for module in sorted(set(MODULES) - {"fetchq"})
        for imported in imports_of(module)
        if imported == "fetchq" or (imported.startswith("fetchq.") and room_of(imported) not in allowed_for(module))
    ]
    assert not wrong, "\n".join(wrong)


def test_the_rooms_themselves_make_no_circle() -> None:
    done: set[str] = set()
    for room, allowed in ROOMS.items():
        assert allowed <= done, f"{room} comes before what it imports"
        done.add(room)


def test_no_two_modules_import_each_other() -> None:
    graph = {module: {one for one in imports_of(module) if one in MODULES} - {module} for module in MODULES}
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join((*path, module))
        if module not in done:
            for imported in graph[module]:
                visit(imported, (*path, module))
            done.add(module)

    for module in sorted(graph):
        visit(module, ())


def test_a_library_is_imported_by_one_module_alone() -> None:
    for library, homes in HOMES.items():
        deeper = [name for name in HOMES if name.startswith(f"{library}.")]
        importers = {
            module
            for module in MODULES
            for imported in imports_of(module)
            if (imported == library or imported.startswith(f"{library}."))
            and not any(imported == name or imported.startswith(f"{name}.") for name in deeper)
        }
        assert importers <= homes, f"{library} is imported by {sorted(importers - homes)}"
        assert importers or library in ("backports", "compression"), f"nothing imports {library}"


def test_a_pure_room_imports_nothing_that_does_io() -> None:
    for module in sorted(set(MODULES) - {"fetchq"}):
        room = room_of(module)
        for imported in imports_of(module):
            assert imported.split(".")[0] not in NEVER.get(room, ()), f"{module} imports {imported}"


def sizes() -> Iterator[tuple[str, int, int]]:
    """Each module with its lines, each function with its lines but those of its docstring, each class with its methods;
    and how many of them there may be at most."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    for module, path in MODULES.items():
        yield module, len(path.read_text().splitlines()), LONGEST_MODULE
        for node in ast.walk(tree_of(module)):
            if isinstance(node, functions):
                described = len((ast.get_docstring(node, clean=False) or "").splitlines())
                yield f"{module}:{node.name}", (node.end_lineno or 0) - node.lineno + 1 - described, LONGEST_FUNCTION
            elif isinstance(node, ast.ClassDef):
                methods = sum(isinstance(one, functions) and not is_overload(one) for one in node.body)
                yield f"{module}:{node.name}", methods, MOST_METHODS


def is_overload(node: ast.stmt) -> bool:
    """Whether a function is a signature for type checkers alone, which is explained where it is implemented."""
    return any(getattr(one, "id", "") == "overload" for one in getattr(node, "decorator_list", ()))


def test_a_module_a_function_and_a_class_fit_in_the_head() -> None:
    too_large = {name: f"{size}, at most {most}" for name, size, most in sizes() if size > most}
    assert set(too_large) == set(EXCEPTIONS), too_large
    assert len(EXCEPTIONS) <= 3
    assert all(EXCEPTIONS.values())


def test_the_library_prints_nothing_and_touches_no_signal() -> None:
    for module in MODULES:
        if module.startswith(("fetchq.cli", "fetchq.__main__")):
            continue
        for node in ast.walk(tree_of(module)):
            assert not (isinstance(node, ast.Call) and getattr(node.func, "id", "") == "print"), module
        if module != "fetchq.workers.forked_process":  # it undoes in the copy what the command line has set
            assert not {"signal", "logging"} & {imported.split(".")[0] for imported in imports_of(module)}, module


def test_every_public_thing_is_explained() -> None:
    for module in MODULES:
        tree = tree_of(module)
        assert ast.get_docstring(tree), f"{module} has no docstring"
        public = next((ast.literal_eval(node.value) for node in tree.body if _is_all(node)), [])
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name in public:
                if is_overload(node):
                    continue
                assert ast.get_docstring(node), f"{module}.{node.name} has no docstring"


def _is_all(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"


def table() -> Iterator[str]:
    """The rooms, what each may import from, and what it does import from today."""
    yield f"{'room':<12} {'modules':>7}  {'may import from':<48} imports from"
    for room in [*ROOMS, *BESIDE]:
        modules = [module for module in MODULES if module != "fetchq" and room_of(module) == room]
        found = {room_of(one) for module in modules for one in imports_of(module) if one.startswith("fetchq.")}
        may = sorted(ROOMS.get(room, BESIDE.get(room, set())))
        yield f"{room:<12} {len(modules):>7}  {' '.join(may):<48} {' '.join(sorted(found - {room}))}".rstrip()


if __name__ == "__main__":
    print("\n".join(table()))
