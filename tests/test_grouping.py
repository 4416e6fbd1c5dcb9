"""Units and scopes."""

from split_domains import make_domain

from gradmix.grouping import group_scopes, units_of


def units(content, group):
    numbers = units_of(make_domain("d", [0] * len(content), content, group).index)
    rows_by_unit = {}
    for row, unit in enumerate(numbers):
        rows_by_unit.setdefault(unit, []).append(row)
    return sorted(rows_by_unit.values())


def test_images_without_group_and_copy_stand_alone():
    assert units("abcd", [""] * 4) == [[0], [1], [2], [3]]


def test_contents_and_groups_chain():
    assert units("aabcd", ["", "x", "x", "y", ""]) == [[0, 1, 2], [3], [4]]


def test_a_long_chain_is_one_unit():
    content = [f"c{i // 2}" for i in range(100)]
    group = ["", *(f"g{i // 2}" for i in range(98)), ""]
    assert units(content, group) == [list(range(100))]


def test_a_group_named_like_a_content_is_no_link():
    assert units(["g", "b"], ["", "g"]) == [[0], [1]]


def test_scopes_join_domains_of_common_files_directly_or_by_a_chain():
    files = [{"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}, {"c": "3"}, {}, {}]
    scopes = group_scopes([make_domain(str(i), [0], files=f) for i, f in enumerate(files)])
    assert scopes[0] == scopes[1] == scopes[2]
    assert len(set(scopes[2:])) == 4
