import yaml

from gradmix.results.facts import configuration_text


def test_long_lists_take_few_lines_and_nothing_is_lost():
    configuration = {
        "title": "Äctions",
        "label_spaces": {"few": ["a", "b"], "many": [f"activity, {i}" for i in range(410)]},
        "domains": {"x": {"classes": {f"a{i}": f"b: {i}" for i in range(50)}, "file": None}},
        "draws": list(range(21)),
        "nested": [{"k": i} for i in range(21)],
    }
    text = configuration_text(configuration)
    assert yaml.safe_load(text) == configuration
    assert list(yaml.safe_load(text)) == list(configuration)
    assert len(text.splitlines()) < 130
    assert "  few:\n  - a\n  - b\n" in text
    assert max(map(len, text.splitlines())) < 140


def test_short_configurations_look_as_usual():
    configuration = {"title": "Digits", "label_spaces": {"low": ["0", "1"]}, "draws": [0, 1]}
    usual = yaml.safe_dump(configuration, sort_keys=False, allow_unicode=True)
    assert configuration_text(configuration) == usual
