import pytest

from gradmix.results.paper import TABLES, paper_numbers


def row(name, recipe=None):
    return {"name": name, "title": name, "recipe": recipe or name}


def test_numbers_of_table_1():
    assert TABLES["digits"].numbers["gradmix"][3] == (91.45, 0.52)
    assert TABLES["digits"].numbers["target_only"][2] == (71.35, 1.85)
    assert TABLES["digits"].numbers["source_only"][5] == (82.39, None)
    assert all(set(numbers) == {2, 3, 4, 5} for numbers in TABLES["digits"].numbers.values())


def test_one_row_per_recipe():
    numbers = paper_numbers([row("h1", "gradmix"), row("gradmix"), row("pooled")], "digits")
    assert {name for name, _ in numbers} == {"gradmix"}
    numbers = paper_numbers([row("mine", "gradmix"), row("other", "gradmix")], "digits")
    assert {name for name, _ in numbers} == {"mine"}


def test_only_where_asked():
    assert paper_numbers([row("gradmix")], None) == {}
    with pytest.raises(ValueError, match="must be null or one of actions, digits, but got 'birds'"):
        paper_numbers([row("gradmix")], "birds")
