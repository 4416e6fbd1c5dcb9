import json
import os
import re
import subprocess
import sys
from datetime import date

import pytest
import yaml

from gradmix.config import ConfigError, grid_member, json_schema, known_keys, load_config
from gradmix.config.folders import check_folders
from gradmix.config.origins import origins
from gradmix.domains.registry import ORIGINS
from gradmix.methods.recipes import METHODS

CONFIGS = ("config.yaml", "digits.yaml", "meter_digits.yaml")


def problems(values):
    with pytest.raises(ConfigError) as caught:
        load_config(values, "config/mine.yaml")
    first, *rest = str(caught.value).splitlines()
    assert first.startswith("config/mine.yaml: ")
    assert f"{len(rest)} problems" in first or (len(rest) == 1 and "one problem" in first)
    return [tuple(line.strip().split(": ", 1)) for line in rest]


def put(values, path, value):
    *sections, key = path.split(".")
    for section in sections:
        values = values.setdefault(section, {})
    values[key] = value


@pytest.mark.parametrize("name", CONFIGS)
def test_configs_that_come_with_the_project(repository, name):
    values = yaml.safe_load((repository / "config" / name).read_text())
    config = load_config(values, name)
    assert load_config(config.resolved()).resolved() == config.resolved()
    json.dumps(config.resolved())
    json.dumps([config.method_settings(method).to_json() for method in config.methods])


@pytest.mark.parametrize("name", ["digits.yaml", "meter_digits.yaml"])
def test_the_overlay_for_cpus_makes_an_experiment_smaller(repository, name):
    values = yaml.safe_load((repository / "config" / name).read_text())
    full = load_config(values, name)
    for key, value in yaml.safe_load((repository / "config" / "cpu.yaml").read_text()).items():
        values[key] = values[key] | value if isinstance(value, dict) else value
    small = load_config(values, name)
    assert small.training.steps < full.training.steps
    assert len(small.grid_members()) < len(full.grid_members())
    assert small.domains == full.domains


def test_the_overlay_of_ablations_fits_the_one_for_cpus(repository):
    values = yaml.safe_load((repository / "config" / "meter_digits.yaml").read_text())
    for overlay in ("cpu.yaml", "ablations.yaml"):
        over = yaml.safe_load((repository / "config" / overlay).read_text())
        for key, value in over.items():
            both = isinstance(value, dict) and isinstance(values.get(key), dict)
            values[key] = values[key] | value if both else value
    assert len(load_config(values).all_methods()) > len(METHODS)


def test_default_lists_every_key_of_the_sections(default_config):
    """What the default config leaves out is optional in kind, not forgotten."""
    given = {key for key in known_keys() if "*" not in key and has(default_config, key)}
    # The convolutional network takes no pretrained weights.
    optional = {"paper_numbers", "network.weights"}
    assert {key for key in known_keys() if "*" not in key} - given == optional


def has(values, path):
    for key in path.split("."):
        if key not in values:
            return False
        values = values[key]
    return True


def test_digits_is_the_papers_experiment(repository):
    config = load_config(yaml.safe_load((repository / "config" / "digits.yaml").read_text()))
    assert config.labels_per_class == (2, 3, 4, 5)
    assert config.draws == tuple(range(10))
    assert len(config.grid_members()) == 54
    assert config.grid_members()[0] == "beta5-gamma0"
    assert config.grid_members()[-1] == "beta10-gamma0.8"
    assert config.target.hyper_validation_per_class * 5 == 1000
    # EnergyNet needs attention maps, which the digit network has not; drop-one tries more than the others may.
    left_out = ("energy_net", "drop_one")
    assert list(config.methods) == [method for method in METHODS if method not in left_out]


def test_actions_is_the_papers_experiment(repository):
    config = load_config(yaml.safe_load((repository / "config" / "actions.yaml").read_text()))
    assert config.labels_per_class == (3, 5, 10)
    assert len(config.draws) == 2
    assert len(config.label_spaces["ucf101"]) == 101
    assert config.label_spaces["mpii_activities"] == "auto"
    assert config.network.name == "resnet18"
    assert (config.training.learning_rate, config.training.fine_tune_learning_rate) == (0.001, 5e-5)
    assert config.has_clips()
    rows = {"target_only", "source_only", "fine_tune", "energy_net", "gradmix", "mdda", "dctn"}
    assert rows | {"gradmix_hard", "gradmix_vat", "gradmix_mixmatch"} < set(config.methods)


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        ({"every": 5}, "domains.ucf101_train", "needs one of frames_per_clip and every"),
        ({"frames_per_clip": None}, "domains.ucf101_train", "needs one of frames_per_clip and"),
        ({"list_split": 4}, "domains.ucf101_train.list_split", "must be one of 1, 2 or 3"),
        ({"most_left_out": 2}, "domains.ucf101_train.most_left_out", "1"),
    ],
)
def test_mistakes_in_domains_of_files(repository, change, path, message):
    values = yaml.safe_load((repository / "config" / "actions.yaml").read_text())
    values["domains"]["ucf101_train"] |= change
    faults = dict(problems(values))
    assert message in faults[path]


def test_auto_is_for_the_label_space_of_one_domain(repository):
    values = yaml.safe_load((repository / "config" / "actions.yaml").read_text())
    values["label_spaces"]["ucf101"] = "auto"
    faults = dict(problems(values))
    assert "list them" in faults["label_spaces.ucf101"]
    values["domains"]["mpii"]["classes"] = {"a": "b"}
    assert "no effect" in dict(problems(values))["domains.mpii.classes"]


def test_the_network_sees_no_more_than_the_images_have(repository):
    values = yaml.safe_load((repository / "config" / "actions.yaml").read_text())
    values["image"]["crop"] = 130
    assert "130" in dict(problems(values))["image.crop"]


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("training.batchsize", 3, "unknown key; did you mean training.batch_size?"),
        ("beta", 3, "unknown key; did you mean gradmix.beta?"),
        ("domains.rendered_5_9.cuont", 3, "unknown key; did you mean domains.rendered_5_9.count?"),
        (
            "domains.sklearn_5_9.split",
            "train",
            "unknown key (known here: label_space, classes, share, resize, origin)",
        ),
        (
            "methods.gradmix.gradmix.gama",
            1,
            "unknown key; did you mean methods.gradmix.gradmix.gamma?",
        ),
        ("zebra", 1, "unknown key (known here: title, output_dir"),
        ("training.steps", "many", "must be a number, but is the text 'many'"),
        ("training.steps", True, "must be a number, but is true or false"),
        ("training.steps", 2.5, "must be a whole number, but is 2.5"),
        ("training.steps", 0, "must be at least 1, but is 0"),
        ("training.learning_rate", 0, "must be above 0, but is 0"),
        ("training.learning_rate", float("nan"), "must be a finite number"),
        ("training.momentum", 1.0, "must be below 1, but is 1.0"),
        ("training.precision", "half", "must be one of 'float32' or 'bfloat16', but is 'half'"),
        ("training.forward", "joint", "must be one of 'separate' or 'together', but is 'joint'"),
        ("training.forward", "streamed", "use together (one joint pass) or separate"),
        ("methods.gradmix", {"training": {"forward": "streamed"}}, "use together"),
        ("gradmix.beta", -1, "must be above 0, but is -1"),
        ("gradmix", [1], "must be a section"),
        ("pseudo_labels.threshold", 1, "must be below 1, but is 1"),
        ("labels_per_class", [3, 0], "must be at least 1, but is 0"),
        ("labels_per_class", [3, 3], "3 is listed twice"),
        ("labels_per_class", [], "needs at least 1 entries"),
        ("draws", 0, "must be a number of draws"),
        ("draws", [1, 1], "1 is listed twice"),
        ("grid.beta", [5, 5.0], "5.0 is listed twice"),
        ("sources", ["rendered_5_9", "rendered_5_9"], "'rendered_5_9' is listed twice"),
        ("label_spaces.digits_5_9", ["5", "5"], "'5' is listed twice"),
        ("label_spaces.digits_5_9", ["5", True], "without quotes as true or false; put it in"),
        ("domains.rendered_5_9.origin", "rendered_digit", "did you mean rendered_digits?"),
        ("domains.rendered_5_9", {"label_space": "digits_5_9"}, "needs `origin`"),
        ("domains.sklearn_5_9.label_space", "digits59", "did you mean digits_5_9?"),
        ("methods.my method", {}, "letters, digits, - and _ are allowed"),
        ("methods.gradmx", None, "no recipe has this name; did you mean gradmix?"),
        (
            "methods.mine",
            {"recipe": "gradmx"},
            "there is no recipe 'gradmx'; did you mean gradmix?",
        ),
        ("methods.gradmix", {"recipe": "pooled"}, "is kept for the recipe of that name"),
        ("methods.target_only", {"training": {"steps": 3}}, "has no effect"),
        ("methods.pooled", {"gradmix": {"beta": 3}}, "uses no key of gradmix"),
        ("target.domain", "sklearn_59", "there is no domain 'sklearn_59'; did you mean"),
        ("target.domain", "rendered_5_9", "rendered_5_9 is also a source"),
        ("target.test_per_class", None, "must be given where target.test_domain is null"),
        ("target.test_domain", "sklearn_0_4", "is also the target or a source"),
        ("sources", ["sklearn_0_4"], "no source shares its label space digits_5_9"),
        ("pseudo_labels.models", 9, "is 9, but the grid has only"),
        ("pseudo_labels.enlarge_to", 4, "labels per class that V starts with"),
        ("device", "gpu", "must be one of"),
        ("label_spaces.digits_5_9", ["5", ""], "must not be empty"),
        ("label_spaces.digits_5_9", ["5", None], "must be text, but is null"),
        ("label_spaces.digits_5_9", ["5", 5], "'5' is listed twice"),
        ("label_spaces.digits_5_9", ["5"], "needs at least 2 entries"),
        ("label_spaces.digits_5_9", "5", "needs at least 2 entries"),
        ("label_spaces.digits_5_9", ["5", 0.5], "must be text, but is the number 0.5; put it in"),
        (
            "label_spaces.digits_5_9",
            ["5", date(2024, 1, 2)],
            "must be text, but is the date 2024-01-02; put it in quotes",
        ),
        ("domains.sklearn_0_4.classes", {True: "0"}, "without quotes as true or false; put it in"),
        ("methods", {None: {}}, "must be text, but is null"),
        ("title", b"abc", "must be text, but is b'abc'"),
        ("title", "a\x1bb", r"holds a character that cannot be printed: 'a\x1bb'"),
        ("draws", float("inf"), "must be a number of draws (1 to 1000) or a list of draws, but is"),
        ("draws", float("nan"), "must be a number of draws (1 to 1000)"),
        ("draws", 1e9, "must be a number of draws (1 to 1000)"),
        ("draws", [0, 0], "0 is listed twice"),
        ("draws", [-1], "must be at least 0, but is -1"),
        ("draws", {"a": 1}, "must be a number, but is {'a': 1}"),
        ("labels_per_class", float("nan"), "must be a finite number"),
        ("labels_per_class", None, "must be a list, but is null"),
        ("training.steps", 10**30, "must be at most 1000000000, but is 1000000000000000000"),
        ("training.steps", 1e30, "is too large: 1e+30"),
        ("training.steps", "1e400", "must be a finite number"),
        ("training.steps", None, "must be a number, but is null"),
        ("training.selection_per_class", "k", "the text 'k'; it takes 'labels_per_class', too"),
        ("training", None, "must be a section (`key: value` lines), but is null"),
        ("image.height", 10**6, "must be at most 10000"),
        ("seed", 2**63, "must be below 9223372036854775808"),
        ("output_dir", "", "must not be empty"),
        ("output_dir", " ", "must not be empty"),
        ("output_dir", "a{draw}", "cannot hold { or }"),
        (
            "domains.none",
            {"origin": "mnist", "split": "test", "label_space": "digits_0_4"},
            "own word",
        ),
        (
            "domains.V",
            {"origin": "mnist", "split": "test", "label_space": "digits_0_4"},
            "own word",
        ),
        (
            "domains.NEAR",
            {"origin": "mnist", "split": "test", "label_space": "digits_0_4"},
            "in capitals",
        ),
        ("methods.Pooled", {"recipe": "pooled"}, "differs from pooled in capitals alone"),
        ("methods.pooled@clean", {"recipe": "pooled"}, "letters, digits, - and _ are allowed"),
        (f"methods.{'a' * 20}", {"recipe": "pooled"}, f"repeats itself too often: '{'a' * 20}'"),
        (f"methods.{'ab' * 26}", {"recipe": "pooled"}, "takes at most 50 characters"),
    ],
)
def test_mistakes_are_named(default_config, path, value, message):
    put(default_config, path, value)
    faults = problems(default_config)
    assert [message in what for _, what in faults].count(True) == 1, faults


def test_a_class_at_fault_is_told_once(default_config):
    put(default_config, "label_spaces.digits_5_9", ["5", True])
    ((path, what),) = problems(default_config)
    assert path == "label_spaces.digits_5_9[1]"
    assert what.startswith("must be text, but YAML reads yes, no")


def test_a_section_that_holds_itself_is_told(default_config):
    default_config["tuning"]["candidates"]["mine"] = default_config["tuning"]
    put(default_config, "tuning.candidates.other", {"options": default_config["tuning"]})
    assert all(path.startswith("tuning.candidates") for path, _ in problems(default_config))


def test_values_in_messages_are_short(default_config):
    nested = ["lol"]
    for _ in range(30):
        nested = [nested] * 9
    put(default_config, "draws", {"a": nested})
    put(default_config, "seed", "a" * 10**6)
    put(default_config, "device", nested)
    assert all(len(what) < 500 for _, what in problems(default_config))


def test_the_home_folder_is_meant_by_a_tilde(default_config, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    photographs = {"origin": "image_folder", "folder": "~/photos", "label_space": "digits_0_4"}
    put(default_config, "domains.photographs", photographs)
    config = load_config(default_config | {"output_dir": "~/results", "data_dir": "~"})
    assert (config.output_dir, config.data_dir) == (f"{tmp_path}/results", str(tmp_path))
    assert config.domains["photographs"].folder == f"{tmp_path}/photos"
    # No shell reads it.
    assert load_config(default_config | {"output_dir": "$HOME/x"}).output_dir == "$HOME/x"


def test_a_text_may_be_a_block(default_config):
    assert load_config(default_config | {"title": "Two words\n"}).title == "Two words"


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"output_dir": "/"}, "output_dir: / holds more than results"),
        ({"output_dir": "{root}"}, "output_dir: {root} holds more than results"),
        ({"output_dir": "{root}/.."}, "holds more than results"),
        ({"output_dir": "{root}/gradmix/x"}, "is part of the workflow; name a folder of its own"),
        ({"output_dir": "{root}/README.md"}, "output_dir: {root}/README.md is a file; name a"),
        ({"output_dir": "{root}/README.md/x"}, "output_dir: {root}/README.md is a file; name a"),
        ({"output_dir": "{tmp}"}, "output_dir: holds data_dir ({tmp}/data)"),
        ({"output_dir": "{tmp}/data"}, "output_dir: holds data_dir ({tmp}/data)"),
        ({"output_dir": "a" * 300}, "cannot be a folder: File name too long"),
        ({"output_dir": "{tmp}/loop/x"}, "output_dir: {tmp}/loop"),
        ({"data_dir": "{root}/README.md"}, "data_dir: {root}/README.md is a file; name a folder"),
    ],
)
def test_folders_that_cannot_hold_what_they_should(
    plain_config, repository, tmp_path, changes, expected
):
    (tmp_path / "data").mkdir()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    arrays = {"origin": "arrays", "file": "mine.npz", "label_space": "digits_5_9"}
    plain_config["domains"]["near"] = arrays
    plain_config["sources"] = ["near", "sklearn_0_4"]
    folders = {"output_dir": "{tmp}/results", "data_dir": "{tmp}/data"}

    def filled(text):
        return text.replace("{root}", str(repository)).replace("{tmp}", str(tmp_path))

    def check(values):
        given = {key: filled(value) for key, value in values.items()}
        check_folders(load_config(plain_config | given), repository, "mine.yaml")

    check(folders)
    with pytest.raises(ConfigError) as caught:
        check(folders | changes)
    assert filled(expected) in str(caught.value)
    assert str(caught.value).startswith("mine.yaml: one problem in the configuration\n  ")
    assert not os.path.exists(tmp_path / "results")


def test_a_joint_forward_pass_is_for_one_gpu_and_may_be_one_methods(default_config):
    put(default_config, "methods.gradmix", {"training": {"forward": "together"}})
    config = load_config(default_config, "here")
    assert config.method_settings("gradmix").to_json()["training"]["forward"] == "together"
    assert "forward" not in config.method_settings("pooled").to_json()["training"]
    put(default_config, "training.forward", "together")
    put(default_config, "resources.gpu", 2)
    own, shared = "methods.gradmix.training.forward", "training.forward"
    faults = dict(problems(default_config))
    assert set(faults) == {own, shared}
    assert all("resources.gpu: 2" in what for what in faults.values())


def test_all_problems_are_told_at_once(default_config):
    put(default_config, "training.batchsize", 3)
    put(default_config, "gradmix.beta", -1)
    put(default_config, "target.domain", "nowhere")
    assert {key for key, _ in problems(default_config)} == {
        "training.batchsize",
        "gradmix.beta",
        "target.domain",
    }


def test_missing_keys_are_named(default_config):
    del default_config["labels_per_class"], default_config["target"]["domain"]
    faults = problems(default_config)
    assert set(faults) == {("labels_per_class", "is missing"), ("target.domain", "is missing")}


@pytest.mark.parametrize("classes", [list("56789"), list("98765")])
def test_one_label_space_under_two_names(default_config, classes):
    default_config["label_spaces"]["high_digits"] = classes
    what = dict(problems(default_config))["label_spaces.high_digits"]
    assert "digits_5_9" in what


def test_renaming_into_a_class_that_does_not_exist(default_config):
    default_config["domains"]["sklearn_5_9"]["classes"] = {"4": "x"}
    faults = dict(problems(default_config))
    assert "'x' is no class of label space digits_5_9" in faults["domains.sklearn_5_9.classes.4"]


def test_test_domain_of_another_label_space(default_config):
    default_config["domains"]["other"] = {"origin": "sklearn_digits", "label_space": "digits_0_4"}
    default_config["target"]["test_domain"] = "other"
    assert "its label space is digits_0_4" in dict(problems(default_config))["target.test_domain"]


def test_values_as_yaml_writes_them(default_config):
    default_config["training"]["learning_rate"] = "1e-3"  # YAML 1.1 reads 1e-3 as text
    default_config["training"]["steps"] = 20.0
    default_config["label_spaces"]["digits_5_9"] = [5, 6, 7, 8, 9]
    default_config["labels_per_class"] = 4
    default_config["draws"] = [7, 9]
    default_config["methods"]["gradmix"] = None
    config = load_config(default_config)
    assert config.training.learning_rate == 1e-3
    assert config.training.steps == 20
    assert config.label_spaces["digits_5_9"] == tuple("56789")
    assert config.labels_per_class == (4,)
    assert config.draws == (7, 9)


def test_settings_hold_only_what_a_method_uses(default_config):
    config = load_config(default_config)
    target_only = config.method_settings("target_only").to_json()
    assert target_only["sources"] == []
    assert "gradmix" not in target_only
    assert "steps" not in target_only["training"]
    assert "batch_size" not in config.method_settings("fine_tune").to_json()["training"]
    assert "target_batch_size" not in config.method_settings("source_only").to_json()["training"]
    # Fine-tuning loads source-only's network, with the heads of all sources.
    assert config.method_settings("fine_tune").to_json()["sources"] == list(config.sources)
    assert config.method_settings("gradmix").fine_tuning is None
    default_config["gradmix"]["last_layer"] = "H2"
    assert load_config(default_config).method_settings("gradmix").fine_tuning is not None


def test_a_title_is_no_setting(default_config):
    before = load_config(default_config)
    default_config["methods"]["gradmix"] = {"title": "Ours"}
    after = load_config(default_config)
    assert after.method_settings("gradmix") == before.method_settings("gradmix")
    assert after.title_of("gradmix") == "Ours"
    row = next(row for row in after.rows() if row["name"] == "gradmix")
    assert row == {
        "name": "gradmix",
        "title": "Ours",
        "recipe": "gradmix",
        "method": "gradmix",
        "condition": "clean",
    }


def test_keys_that_do_not_matter_to_a_method_are_no_settings_of_it(default_config):
    default_config |= {"conditions": {}, "methods": {"gradmix_fixed_rate": {}, "gradmix": {}}}
    before = load_config(default_config)
    default_config["gradmix"]["beta"] = 7.0
    after = load_config(default_config)
    fixed = "gradmix_fixed_rate"
    assert after.method_settings(fixed) == before.method_settings(fixed)
    assert after.method_settings("gradmix") != before.method_settings("gradmix")


def test_overrides_of_a_method(default_config):
    default_config["methods"]["gradmix_h1"] = {
        "recipe": "gradmix",
        "gradmix": {"last_layer": "H1"},
        "training": {"steps": 7},
    }
    config = load_config(default_config)
    settings = config.method_settings("gradmix_h1").to_json()
    assert settings["recipe"] == "gradmix"
    assert settings["gradmix"] == config.gradmix.model_dump() | {"last_layer": "H1"}
    assert settings["training"]["steps"] == 7
    assert config.resolved()["methods"]["gradmix_h1"]["training"] == {"steps": 7}


def test_grid_members_differ_in_beta_and_gamma_only(default_config):
    default_config["grid"] |= {"beta": [5, 10.0], "gamma": [-0.5, 0.25]}
    config = load_config(default_config)
    assert config.grid_members() == [
        "beta5-gamma-0.5", "beta5-gamma0.25", "beta10-gamma-0.5", "beta10-gamma0.25",
    ]  # fmt: skip
    member = grid_member(config.grid_settings(), "beta5-gamma-0.5")
    assert (member.gradmix["beta"], member.gradmix["gamma"]) == (5.0, -0.5)
    assert member.member == "beta5-gamma-0.5"
    with pytest.raises(ValueError, match="no member"):
        grid_member(config.grid_settings(), "alpha5")


def test_grid_is_not_checked_where_nothing_needs_it(default_config):
    default_config |= {"conditions": {}, "methods": {"gradmix": {}}}
    default_config["pseudo_labels"]["models"] = 99
    load_config(default_config)


def test_every_origin_has_its_keys():
    assert set(origins()) == {*ORIGINS, "perturbed"}


def test_schema_refuses_unknown_keys():
    schema = json_schema()
    assert schema["additionalProperties"] is False
    sections = [part for part in schema["$defs"].values() if part.get("type") == "object"]
    assert all(section["additionalProperties"] is False for section in sections)


def documented_keys(repository):
    """Key -> default, as config/README.md has them."""
    text = (repository / "config" / "README.md").read_text().partition("\n## Keys\n")[2]
    rows = re.findall(r"^\| `([^`]+)` \|[^|]*\|\s*([^|]*?)\s*\|", text, flags=re.MULTILINE)
    assert len(rows) == len(dict(rows)) > 40
    return dict(rows)


def test_every_key_is_documented(repository):
    # A method's own sections have the keys of those of the same name; so have candidates and ablations' methods.
    sections = r"methods\.\*\.(network|training|gradmix|options|pseudo_labels|candidates)"
    own = rf"({sections}|tuning\.candidates|ablations\.\*\.methods)\."
    known = {re.sub(own + ".*", r"\1", key) for key in known_keys()}
    known -= {key for key in known if any(other.startswith(f"{key}.") for other in known)}
    known = known - {"label_spaces"} | {"label_spaces.*"}
    # Of perturbed domains sections, of other origins names.
    known |= {"domains.*.images", "domains.*.labels"}
    assert set(documented_keys(repository)) == {key.replace("*", "NAME") for key in known}


def test_documented_defaults_are_the_schemas(repository):
    schema = json_schema()
    for key, default in documented_keys(repository).items():
        if "NAME" in key:
            continue
        node = schema
        for part in key.split("."):
            reference = node.get("$ref", "").rpartition("/")[2]
            node = schema["$defs"][reference] if reference else node
            required = part in node.get("required", [])
            node = node["properties"][part]
        if required:
            assert default == "required", key
        else:
            assert yaml.safe_load(default.strip("`")) == node["default"], key


def test_importing_the_configuration_imports_neither_torch_nor_numpy():
    code = (
        "import sys, gradmix.config, gradmix.fingerprint, gradmix.domains.registry\n"
        "print([name for name in ('torch', 'numpy', 'pandas') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
