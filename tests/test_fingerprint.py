import time

import pytest
from debug_experiment import settings_of

from gradmix import fingerprint as module
from gradmix.fingerprint import closure, direct_imports, fingerprint
from gradmix.methods.mixers import MIXERS
from gradmix.methods.recipes import METHODS, recipe_of
from gradmix.terms.registry import TERMS


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a few modules in place of gradmix; call it with names and sources to write some."""
    monkeypatch.setattr(module, "_ROOT", tmp_path)

    def write(**sources):
        for name, source in sources.items():
            path = tmp_path.joinpath(*name.split("__dot__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            (path.parent / "__init__.py").touch()
            path.write_text(source)
        module._read.cache_clear()

    yield write
    module._read.cache_clear()


def test_comments_docstrings_and_formatting_do_not_count(package):
    package(a="def f(x):\n    return g(x, 1)\n\n\nclass C:\n    y = 'text'\n")
    before = fingerprint("gradmix.a")
    package(
        a='"""A module."""\n# why\ndef f(x):\n    """Doc."""\n    return g(\n        x,\n        1,\n    )\n'
        'class C:\n    """C."""\n    y = "text"\n'
    )
    assert fingerprint("gradmix.a") == before


@pytest.mark.parametrize(
    "changed",
    [
        "def f(x):\n    return x + 2\n",
        "def f(x):\n    return x - 1\n",
        "def f(y):\n    return y + 1\n",
        "def f(x):\n    return x + 1.0\n",
        "def f(x, *, z=None):\n    return x + 1\n",
        "@cache\ndef f(x):\n    return x + 1\n",
        "def f(x):\n    'not only a docstring' + x\n    return x + 1\n",
        "async def f(x):\n    return x + 1\n",
        "def f(x):\n    return x + 1\nf(1)\n",
        "def f(x=None):\n    return x + 1\n",
        "def f(x: int):\n    return x + 1\n",
    ],
)
def test_code_counts(package, changed):
    package(a="def f(x):\n    return x + 1\n")
    before = fingerprint("gradmix.a")
    package(a=changed)
    assert fingerprint("gradmix.a") != before


def test_values_that_look_alike(package):
    seen = set()
    for value in ("None", "'None'", "0", "0.0", "False", "''", "b''", "...", "()", "[]", "{}"):
        package(a=f"x = {value}\n")
        seen.add(fingerprint("gradmix.a"))
    assert len(seen) == 11


@pytest.mark.parametrize(
    "statement",
    [
        "import gradmix.b",
        "import gradmix.b as other",
        "from gradmix import b",
        "from gradmix.b import x",
        "from .b import x",
        "from . import b",
        "def f():\n    from gradmix.b import x\n    return x",
        "class C:\n    def f(self):\n        if True:\n            import gradmix.b",
        "try:\n    import gradmix.b\nexcept ImportError:\n    pass",
    ],
)
def test_imports_are_followed(package, statement):
    package(a=f"{statement}\n", b="from gradmix.c import y\nx = 1\n", c="y = 1\n", d="z = 1\n")
    assert closure("gradmix.a") == {"gradmix.a", "gradmix.b", "gradmix.c"}
    before = fingerprint("gradmix.a")
    package(d="z = 2\n")
    assert fingerprint("gradmix.a") == before
    package(c="y = 2\n")
    assert fingerprint("gradmix.a") != before


def test_modules_loaded_by_name_or_for_type_checkers_are_not_followed(package):
    package(
        a="from importlib import import_module\nfrom typing import TYPE_CHECKING\n"
        "if TYPE_CHECKING:\n    from gradmix.b import x\nm = import_module('gradmix.b')\n",
        b="x = 1\n",
    )
    assert closure("gradmix.a") == {"gradmix.a"}


def test_packages_that_are_imported_on_the_way_count(package):
    package(sub__dot__a="from ..b import x\n", b="x = 1\n")
    assert closure("gradmix.sub.a") == {"gradmix.sub.a", "gradmix.sub", "gradmix.b"}


def test_order_and_repetition_do_not_matter(package):
    package(a="x = 1\n", b="x = 1\n")
    one = fingerprint("gradmix.a", "gradmix.b")
    assert one == fingerprint("gradmix.b", "gradmix.a", "gradmix.b")
    assert one != fingerprint("gradmix.a")
    assert len(one) == 16


def test_circles_end(package):
    package(a="import gradmix.b\n", b="import gradmix.a\n")
    assert closure("gradmix.a") == {"gradmix.a", "gradmix.b"}


def test_mistakes_are_named(package):
    package(a="from gradmix import GradMix\n", b="def f(:\n", c="import gradmix.nowhere\n")
    with pytest.raises(ValueError, match="import GradMix from the module that defines it"):
        fingerprint("gradmix.a")
    with pytest.raises(ValueError, match=r"b\.py, line 1"):
        fingerprint("gradmix.b")
    with pytest.raises(ValueError, match=r"no module gradmix\.nowhere"):
        fingerprint("gradmix.c")


def training(method, **sections):
    """Modules that the run of a method depends on, as the rules name them."""
    return closure(*settings_of(method, **sections).modules)


def test_what_the_rules_depend_on():
    """The rerun table's rows that speak of code, on the real package."""
    target_only, mixing = training("target_only"), training("gradmix")
    for names in (target_only, mixing, closure("gradmix.training.predict")):
        assert not [
            name for name in names if name.startswith(("gradmix.results", "gradmix.config"))
        ]
    for stage in ("gradmix.domains.prepare", "gradmix.splits", "gradmix.training.select"):
        used = closure(stage)
        rooms = ("gradmix.training.run", "gradmix.mixing", "gradmix.nets", "gradmix.results")
        assert not [name for name in used if name.startswith(rooms)], stage


@pytest.mark.parametrize("method", METHODS)
def test_when_and_with_which_others_a_run_is_trained_is_no_code_of_it(method):
    used = training(method)
    elsewhere = ("run", "launch", "stacked", "stacked_network", "stacking", "slots")
    assert not used & {f"gradmix.training.{name}" for name in elsewhere}
    assert {f"gradmix.training.{name}" for name in ("loop", "prepare", "state", "record")} <= used


def test_only_a_joint_pass_depends_on_its_code():
    joint = {"gradmix.training.joint", "gradmix.mixing.joint.forward"}
    assert joint <= training("gradmix", training={"forward": "together"})
    assert not joint & training("gradmix")


@pytest.mark.parametrize("method", METHODS)
def test_a_run_depends_on_its_own_terms_and_mixer_and_on_no_table_of_names(method):
    used, own = training(method), set(recipe_of(method).method().modules)
    terms = {f"gradmix.terms.{name}" for name in TERMS}
    # The plain sum is the simplest mixer; others are made of it, as MME's term is of the entropy.
    mixers = {part.kind.rpartition(".")[0] for part in MIXERS.values()}
    needed = closure(*own)
    assert used & (terms | mixers) == needed & (terms | mixers)
    assert own <= used
    tables = ("methods.recipe", "methods.recipes", "methods.mixers", "terms.registry")
    assert not used & {f"gradmix.{name}" for name in (*tables, "nets.registry", "domains.registry")}


def test_only_mixers_that_solve_depend_on_the_solvers():
    solver = "gradmix.mixing.solvers.exact"
    assert solver in training("gradmix")
    assert solver not in training("target_only") | training("pooled") | training("gradmix_sgd")


def test_it_is_quick(repository):
    modules = [
        ".".join(path.relative_to(repository).with_suffix("").parts).removesuffix(".__init__")
        for path in (repository / "gradmix").rglob("*.py")
    ]
    module._read.cache_clear()
    start = time.process_time()
    fingerprint(*modules)
    assert time.process_time() - start < 1.0
    start = time.process_time()
    fingerprint(*modules)
    assert time.process_time() - start < 0.02


def test_direct_imports_are_a_module_s_own(package):
    package(
        a="from typing import TYPE_CHECKING\nimport gradmix\nfrom gradmix.b import x\n"
        "if TYPE_CHECKING:\n    from gradmix.d import T\n"
        "def f():\n    from gradmix import e\n",
        b="from gradmix.c import x\n",
        c="x = 1\n",
        d="T = int\n",
        e="",
    )
    assert direct_imports("gradmix.a") == ("gradmix.b", "gradmix.e")
    assert direct_imports("gradmix.c") == ()
