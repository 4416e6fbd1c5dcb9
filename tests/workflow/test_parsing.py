"""Reading the workflow: configurations, their mistakes, and how long it takes."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from experiment import DIGIT_METHODS

ROOT = Path(__file__).parents[2]
PROFILES = sorted((ROOT / "profiles").glob("*/config.yaml"))


def test_default_configuration(fresh):
    done = fresh.would_run("--configfile", "config/config.yaml")
    assert "domain=sklearn_0_4" in done.of("prepare_domain")


def test_the_default_is_used_where_none_is_named(fresh, repository):
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--cores", "1", "--quiet", "rules"]
    named = subprocess.run(
        [*command, "--configfile", "config/config.yaml"],
        cwd=fresh.folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    unnamed = subprocess.run(command, cwd=fresh.folder, capture_output=True, text=True, check=True)
    assert unnamed.stdout.splitlines()[-20:] == named.stdout.splitlines()[-20:]


def test_another_configuration_replaces_the_default(fresh):
    done = fresh.would_run()
    assert done.of("prepare_domain") == {
        "domain=rendered_5_9", "domain=low_digits", "domain=sklearn_5_9",
    }  # fmt: skip


def test_keys_on_the_command_line(fresh):
    done = fresh.would_run(
        labels_per_class=[4],
        draws=[7],
        output_dir="elsewhere",
        training={"steps": 6},
        methods={"gradmix": {"title": "Ours"}},
    )
    assert "labels_per_class=4, pack=7, method=gradmix" in done.of("train")
    assert "labels_per_class=0, pack=7, method=source_only" in done.of("train")
    assert "output: elsewhere/report.html" in done.text


def test_mistakes_end_it_with_the_message_alone(fresh):
    done = fresh.run("--dry-run", training={"batchsize": 3}, beta=5)
    assert done.status != 0
    first, *others = done.text.splitlines()[-3:]
    assert first.endswith("mini.yaml, --config: 2 problems in the configuration")
    assert set(others) == {
        "  training.batchsize: unknown key; did you mean training.batch_size?",
        "  beta: unknown key; did you mean gradmix.beta?",
    }
    assert "Error" not in done.text
    assert "Traceback" not in done.text


def test_all_raw_files_that_are_missing_are_told_while_planning(fresh):
    """Those that are downloaded, of MNIST, are none of them."""
    clips = {"origin": "clip_folder", "folder": "clips", "label_space": "digits_5_9"}
    clips |= {"frames_per_clip": 2}
    done = fresh.run(
        "--dry-run",
        domains={
            "clips": clips,
            "digits": {"origin": "mnist", "split": "train", "label_space": "digits_0_4"},
            "low_digits": {"file": "gone.npz"},
        },
        sources=["digits", "clips", "low_digits"],
    )
    assert done.status != 0
    first, *others = done.text.splitlines()[-3:]
    assert first == "Raw files are missing; put them there, or change data_dir or the domain:"
    assert set(others) == {"  data/clips (domains.clips)", "  data/gone.npz (domains.low_digits)"}


def test_a_key_that_stands_twice_and_data_among_results_end_it(fresh, tmp_path):
    path = tmp_path / "twice.yaml"
    path.write_text((fresh.folder / "mini.yaml").read_text() + "\nlabels_per_class: [2]\n")
    done = fresh.run("--dry-run", "--configfile", str(path))
    assert done.status != 0
    assert re.search(r"twice\.yaml, line \d+: the key labels_per_class stands in line", done.text)
    done = fresh.run("--dry-run", data_dir="results/data")
    assert "output_dir: holds data_dir (results/data)" in done.text


def test_a_default_that_is_no_yaml_is_told_with_its_line(fresh, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.yaml").write_text("seed: 1\ntitle: [\n")
    command = [sys.executable, "-m", "snakemake", "--dry-run", "--directory", str(tmp_path)]
    done = subprocess.run(
        [*command, "--snakefile", str(fresh.folder / "Snakefile")],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode != 0
    assert "config/config.yaml, line 3, column 1: not valid YAML" in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_methods_without_pseudo_labels_need_no_grid(fresh, tmp_path):
    config = yaml.safe_load((fresh.folder / "mini.yaml").read_text())
    config["methods"] = {"target_only": {}, "pooled": {}}
    path = tmp_path / "two.yaml"
    path.write_text(yaml.safe_dump(config))
    done = fresh.would_run("--configfile", str(path))
    assert done.of("train") == {
        "labels_per_class=3, pack=0, method=target_only",
        "labels_per_class=3, pack=0, method=pooled",
    }
    assert not {"train_grid", "select", "pseudo_label"} & done.rules()
    assert not [wildcard for wildcard in done.of("figure") if "layer_weights" in wildcard]


def test_fine_tuning_brings_what_it_starts_from(fresh, tmp_path):
    config = yaml.safe_load((fresh.folder / "mini.yaml").read_text())
    config["methods"] = {"fine_tune": {}}
    path = tmp_path / "fine_tune.yaml"
    path.write_text(yaml.safe_dump(config))
    done = fresh.would_run("--configfile", str(path))
    assert "labels_per_class=0, pack=0, method=source_only" in done.of("train")
    assert done.of("evaluate") == {"labels_per_class=3, pack=0, methods=fine_tune"}


def test_packs_of_the_grid_are_called_by_their_ends(fresh):
    members = {
        1: {"beta5-gamma0", "beta5-gamma0.5", "beta10-gamma0", "beta10-gamma0.5"},
        3: {"beta5-gamma0..beta10-gamma0", "beta10-gamma0.5"},
        54: {"beta5-gamma0..beta10-gamma0.5"},
    }
    for size, names in members.items():
        done = fresh.would_run(grid={"runs_per_job": size})
        jobs = {f"labels_per_class=3, pack=0, members={name}" for name in names}
        assert done.of("train_grid") == jobs


def test_a_pack_that_does_not_exist_is_told_with_those_that_do(fresh):
    packs = {"draws": 4, "resources": {"draws_per_job": 2}}
    done = fresh.run("--dry-run", "results/packs/train/3/1/gradmix.json", **packs)
    assert done.status != 0
    assert "there is no pack 1, but 0-1, 2-3" in done.text


def seconds_of_planning(fresh, **changes):
    """CPU time and job counts of a dry run of the paper's experiment, with these keys of its file changed."""
    config = yaml.safe_load((fresh.folder / "config/digits.yaml").read_text()) | changes
    (fresh.folder / "planned.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = fresh.would_run("--quiet", "rules", "--configfile", "planned.yaml")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    counts = re.findall(r"^(\w+) +(\d+)$", done.text, flags=re.MULTILINE)
    return after.ru_utime - before.ru_utime, {rule: int(count) for rule, count in counts}


def test_a_dry_run_of_the_papers_experiment_is_quick_and_grows_with_its_jobs_alone(fresh):
    """All methods and ablations, 10 draws or 54 models a job, then four times the draws."""
    seconds, counts = seconds_of_planning(fresh)
    assert seconds < 12, "about 2 s on an idle core"
    assert counts["train_grid"] == 40
    methods = len(DIGIT_METHODS) - 1  # drop-one tries more settings than the experiment allows
    # Ablations: four other ensembles at every k, and eleven variants at k = 3. Two methods see no target label.
    assert counts["train"] == 4 * (methods - 2 + 4) + 2 + 11
    assert counts["evaluate"] == 4 * (methods + 4) + 11
    assert counts["evaluate_grid"] == 10
    assert counts["pseudo_label_sweep"] == 40
    many_seconds, many = seconds_of_planning(fresh, draws=40)
    assert many["train"] == 4 * counts["train"]
    assert many_seconds < 6 * seconds


def test_reading_the_workflow_imports_no_torch(fresh):
    code = (
        "import runpy, sys\n"
        "sys.argv = ['snakemake', '--list', '--configfile', 'mini.yaml']\n"
        "try:\n    runpy.run_module('snakemake', run_name='__main__')\n"
        "except SystemExit:\n    pass\n"
        "print('gradmix.config' in sys.modules, 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=fresh.folder, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "True False", done.stderr


def test_a_perturbed_domain_is_prepared_like_the_one_that_it_changes(fresh):
    changed = {"origin": "perturbed", "images": 0.5}
    files = {"origin": "image_folder", "folder": ".", "label_space": "digits_5_9"}
    done = fresh.would_run(
        domains={
            "files": files,
            "near": changed | {"of": "rendered_5_9"},
            "near_files": changed | {"of": "files"},
        },
        sources=["near", "near_files"],
    )
    assert done.of("prepare_domain") == {"domain=near", "domain=sklearn_5_9"}
    assert done.of("extract_frames") == {"domain=near_files"}


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_profiles_name_rules_that_exist(profile):
    rules = {
        name
        for path in (ROOT / "rules").glob("*.smk")
        for name in re.findall(r"^rule (\w+):", path.read_text(), flags=re.MULTILINE)
    }
    content = yaml.safe_load(profile.read_text())
    named = {entry.partition("=")[0] for entry in content.get("groups", [])}
    named |= set(content.get("set-resources", {})) | set(content.get("set-threads", {}))
    assert named <= rules
