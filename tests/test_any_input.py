"""Whatever stands in a configuration, a table, an archive or a tree of pictures: taken rightly, or refused in words."""

import copy
import csv
import itertools
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from PIL import Image

from gradmix.config import ConfigError, load_config
from gradmix.domains.files import manifest
from gradmix.domains.files.prepare import prepare_files
from gradmix.domains.format import open_domain
from gradmix.domains.prepare import prepare_domain
from gradmix.domains.registry import inventory_of, origin_module, raw_files_of

few = settings(
    max_examples=40,
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
numbered = itertools.count()

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 300)
    | st.sampled_from([float("nan"), float("inf"), -0.5, 0.5, 1e308, 5e-324, 10**30])
    | st.text(max_size=8)
    | st.sampled_from(["gradmix", "none", "rendered_5_9", "all", "1e-3", "yes", "../x", "{draw}"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=4) | st.integers() | st.none(), inner, max_size=3)
    ),
    max_leaves=6,
)


def refused(call: Callable[[], None], by: type[ValueError] = ValueError) -> str | None:
    """The words of the refusal; `None` where there is none. Any other error is the test's."""
    try:
        call()
    except by as error:
        return str(error)
    return None


@few
@given(data=st.data())
def test_any_value_in_any_place_of_the_configuration(default_config, data):
    """At the end of a random way down, a key of its own included."""
    config = copy.deepcopy(default_config)
    inner, below = config, config
    while isinstance(below, dict) and below and data.draw(st.integers(0, 3)):
        inner = below
        key = data.draw(st.sampled_from([*inner, "unknown"]))
        below = inner.get(key)
    inner["unknown" if inner is below else key] = data.draw(values)
    said = refused(lambda: load_config(config), ConfigError)
    if said is not None:
        assert said.startswith("configuration: ")
        assert "pydantic" not in said


@few
@given(content=st.dictionaries(st.text(max_size=4) | st.integers() | st.none(), values, max_size=3))
def test_anything_as_a_configuration(content):
    with pytest.raises(ConfigError):
        load_config(content)


cells = st.text(max_size=6) | st.sampled_from(["a.png", "b.png", "cat", "dog", "..", "/a.png"])
headers = st.lists(st.sampled_from(["path", "label", "group", "split", "colour"]), max_size=4)


@few
@given(
    header=headers,
    rows=st.lists(st.lists(cells, max_size=4), max_size=4),
    raw=st.binary(max_size=30),
)
def test_any_table_is_read_row_by_row_or_refused(tmp_path, header, rows, raw):
    table = tmp_path / "list.csv"
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(name.encode())
    with open(table, "w", encoding="utf-8", newline="", errors="surrogateescape") as file:
        csv.writer(file).writerows([header, *rows])
    if len(raw) > 20:
        table.write_bytes(table.read_bytes() + raw)
    listings = []
    said = refused(
        lambda: listings.append(
            manifest.listing({"file": "list.csv", "kind": "images"}, tmp_path, None)
        )
    )
    if said is not None:
        assert "list.csv" in said
    else:
        (listed,) = listings
        assert len(set(header)) == len(header)
        assert len(listed.files) + len(listed.left_out) == len([row for row in rows if row])


dtypes = arrays_of.scalar_dtypes() | arrays_of.unicode_string_dtypes(max_len=3)


@st.composite
def archives(draw):
    """Images and labels, each now and then of any type and shape."""
    count = draw(st.integers(0, 5))
    images, labels = np.full((count, 4, 4), 7, np.uint8), np.arange(count) % 2
    anything = dtypes.flatmap(
        lambda t: arrays_of.arrays(t, arrays_of.array_shapes(max_dims=4, max_side=3))
    )
    return {
        "images": draw(st.just(images) | anything),
        "labels": draw(st.just(labels) | st.just(labels.astype(str)) | anything),
    }


@few
@given(content=archives())
def test_any_archive_is_prepared_with_its_images_or_refused(tmp_path, content):
    folder = tmp_path / str(next(numbered))
    folder.mkdir()
    np.savez(folder / "a.npz", **content)
    own = {"origin": "arrays", "file": "a.npz", "label_space": "s"}
    origin = origin_module(own)
    arguments = ("mine", own, None, (4, 4), folder, folder / "d", "code")
    said = refused(lambda: prepare_domain(*arguments, origin=origin))
    if said is not None:
        assert "domains.mine" in said
    else:
        domain = open_domain(folder / "d", check_content=True)
        assert len(domain) == len(content["images"]) == len(content["labels"])
        assert content["images"].dtype == np.uint8


file_names = st.text(min_size=1, max_size=6).filter(lambda n: "/" not in n and "\x00" not in n)
contents = st.sampled_from(["picture", "picture", "half", "empty", "text", "link", "folder"])


@few
@given(
    tree=st.dictionaries(file_names, st.dictionaries(file_names, contents, max_size=3), max_size=3)
)
def test_any_tree_is_prepared_with_its_pictures_or_refused(tmp_path, tree):
    folder = tmp_path / str(next(numbered))
    whole = 0
    for name, files in tree.items():
        if name in (".", "..") or not _can_be(folder / "t" / name):
            continue
        for file, kind in files.items():
            path = folder / "t" / name / f"{file}.png"
            if _can_be(path.parent):
                _write(path, kind)
                whole += kind == "picture" and not name.startswith(".") and not file.startswith(".")
    own = {"origin": "image_folder", "folder": "t", "label_space": "s", "most_left_out": 1.0}
    raw_files_of(own, folder)  # as the workflow does while it is parsed
    inventory_of(own, folder)
    origin = origin_module(own)
    arguments = ("mine", own, None, (4, 4), folder, folder / "d", "code")
    said = refused(lambda: prepare_files(*arguments, origin=origin))
    if said is not None:
        assert re.search(r"domains\.mine|t does not exist|lies there itself", said)
    else:
        assert len(open_domain(folder / "d", check_content=True)) == whole


def _can_be(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError):  # a name that this file system lacks
        return False
    return True


def _write(path: Path, kind: str) -> None:
    if kind == "folder":
        path.mkdir(exist_ok=True)
        return
    if kind == "link":
        path.symlink_to("nowhere")
        return
    Image.fromarray(np.full((5, 5), 40, np.uint8)).save(path)
    if kind != "picture":
        content = path.read_bytes()
        path.write_bytes({"half": content[:30], "empty": b"", "text": b"no picture"}[kind])
