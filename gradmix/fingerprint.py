"""A hash of the code that a stage depends on, from reading its imports, without importing anything.

Snakemake sees changes of a rule's script, not of the package that the script imports. Each rule
therefore carries the fingerprint of the modules it uses as a parameter. Comments, docstrings and
formatting do not count. Terms, mixers, networks and origins are loaded by name at run time
(`importlib.import_module`) and are not followed: a rule names those that it uses, so that the file
of another reruns nothing.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path

PACKAGE = "gradmix"
_ROOT = Path(__file__).resolve().parent
_SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def fingerprint(*modules: str) -> str:
    """Hash modules of the package and all that they import of it, at the top or inside functions.

    Args:
        modules: dotted names, such as ``"gradmix.splits"``. Order and repetitions do not matter.

    Returns:
        16 hexadecimal digits.

    Raises:
        ValueError: if a module does not exist, or cannot be parsed.
    """
    digest = hashlib.sha256()
    for module in sorted(closure(*modules)):
        digest.update(f"{module}={_read(module)[0]};".encode())
    return digest.hexdigest()[:16]


def closure(*modules: str) -> set[str]:
    """Names of the modules that `fingerprint` covers.

    The package's own ``__init__`` is left out: it holds public names that load on first use, and a
    new one changes no result.
    """
    covered: set[str] = set()
    waiting = list(modules)
    while waiting:
        module = waiting.pop()
        if module in covered or module == PACKAGE:
            continue
        covered.add(module)
        waiting += direct_imports(module)
        waiting.append(module.rpartition(".")[0])
    return covered


def direct_imports(module: str) -> tuple[str, ...]:
    """Names of the package's modules that one module imports itself, at the top or inside functions.

    Imports for type checkers alone do not count, and neither does ``gradmix`` itself.

    Raises:
        ValueError: as in `fingerprint`.
    """
    return tuple(name for name in _read(module)[1] if name != PACKAGE)


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Hash one module's code, and list the modules of the package that it imports."""
    path = _path(module)
    if path is None:
        raise ValueError(f"fingerprint: there is no module {module} in {_ROOT}")
    try:
        tree = ast.parse(path.read_bytes(), filename=str(path))
    except SyntaxError as error:
        raise ValueError(f"{path}, line {error.lineno}: {error.msg}") from error
    parts: list[str] = []
    imports: set[str] = set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    _serialise(tree, parts, imports, package, path)
    imports.discard(module)
    return hashlib.sha256("".join(parts).encode()).hexdigest(), tuple(sorted(imports))


def _path(module: str) -> Path | None:
    """Locate the file of a module; `None` if there is none."""
    head, *rest = module.split(".")
    base = _ROOT.joinpath(*rest)
    for path in (base.with_suffix(".py") if rest else None, base / "__init__.py"):
        if head == PACKAGE and path is not None and path.is_file():
            return path
    return None


def _serialise(
    node: ast.AST, parts: list[str], imports: set[str], package: str, path: Path
) -> None:
    """Append a text that is equal for equal code, and collect imports on the way.

    Fields that are empty are left out, because Python's versions differ in which of them a node has.
    """
    kind = type(node)
    if kind is ast.If and _is_type_checking(node):
        # Imports for type checkers never run: they count as text, and are not followed.
        imports = set()
    parts.append(kind.__name__)
    parts.append("(")
    for field in kind._fields:
        value = getattr(node, field, None)
        if value is None or value == []:
            if kind is ast.Constant and field == "value":
                parts.append("None")
            continue
        if type(value) is list:
            if field == "body" and kind in _SCOPES and _is_docstring(value[0]):
                value = value[1:]
            parts.append(field)
            for item in value:
                if isinstance(item, ast.AST):
                    _serialise(item, parts, imports, package, path)
                else:
                    parts.append(repr(item))
        elif isinstance(value, ast.expr_context):
            pass
        elif isinstance(value, ast.AST):
            parts.append(field)
            _serialise(value, parts, imports, package, path)
        else:
            parts.append(repr(value))
    parts.append(")")
    if kind is ast.Import or kind is ast.ImportFrom:
        imports.update(_targets(node, package, path))


def _is_docstring(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _is_type_checking(node: ast.AST) -> bool:
    test = getattr(node, "test", None)
    return "TYPE_CHECKING" in (getattr(test, "id", None), getattr(test, "attr", None))


def _targets(node: ast.AST, package: str, path: Path) -> set[str]:
    """List the modules of the package that an import statement runs."""
    if isinstance(node, ast.Import):
        return {a.name for a in node.names if a.name.split(".")[0] == PACKAGE}
    assert isinstance(node, ast.ImportFrom)
    base = node.module or ""
    if node.level:
        parents = package.split(".")
        above = parents[: len(parents) - (node.level - 1)]
        base = ".".join([*above, base]) if base else ".".join(above)
    if base.split(".")[0] != PACKAGE:
        return set()
    modules = {base}
    for alias in node.names:
        if _path(f"{base}.{alias.name}") is not None:
            modules.add(f"{base}.{alias.name}")
        elif base == PACKAGE and not alias.name.startswith("__"):
            # A public name loads its module at run time, unseen by this file.
            raise ValueError(
                f"{path}, line {node.lineno}: import {alias.name} from the module that defines it"
            )
    return modules
