"""What reruns when: every row of the table in docs/architecture.md, in an experiment that ran to its end.

The jobs are those of Snakemake's dry run; `test_running.py` runs some of them for real.
"""

import json
import re

import pytest
import yaml
from experiment import METHODS, write_arrays

from gradmix.methods.recipes import recipe_of

RESULTS = {"tables", "report", "figure"}
PSEUDO_LABELLED = {
    f"labels_per_class=3, pack=0, method={method}"
    for method in METHODS
    if recipe_of(method).needs_pseudo_labels
}
WITHOUT_LABELS = [method for method in METHODS if not recipe_of(method).needs_target_labels]
GRID = {"train_grid"}
FROM_PSEUDO_LABELS = {"pseudo_label", "pseudo_label_quality", "enlarge", "train", "evaluate"}


def of_k3(*methods):
    return {f"labels_per_class=3, pack=0, method={method}" for method in methods}


def of_k0(*methods):
    return {f"labels_per_class=0, pack=0, method={method}" for method in methods}


def evaluated(jobs):
    return {job.replace("method=", "methods=") for job in jobs}


def test_nothing(finished):
    assert finished.would_run().jobs == ()


def test_a_new_gamma_in_the_grid(finished):
    """Two new members, one in each pack; `test_running.py` shows that the others are put back."""
    done = finished.would_run(grid={"gamma": [0.25, 0.0, 0.5]})
    assert len(done.of("train_grid")) == 2
    assert done.of("train") == PSEUDO_LABELLED
    assert done.rules() - GRID - RESULTS == FROM_PSEUDO_LABELS | {"select"}


def test_a_new_beta_at_the_end_of_the_grid(finished):
    """The first pack stays as it is; what was alone in the last is joined by a new one."""
    done = finished.would_run(grid={"beta": [5, 10, 20]})
    assert done.of("train_grid") == {
        "labels_per_class=3, pack=0, members=beta10-gamma0.5..beta20-gamma0.5"
    }
    assert done.of("train") == PSEUDO_LABELLED


def test_number_of_models(finished):
    done = finished.would_run(pseudo_labels={"models": 3})
    assert done.rules() - RESULTS == FROM_PSEUDO_LABELS | {"select"}
    assert done.of("train") == PSEUDO_LABELLED


def test_threshold(finished):
    done = finished.would_run(pseudo_labels={"threshold": 0.5})
    assert done.rules() - RESULTS == FROM_PSEUDO_LABELS
    assert done.of("train") == PSEUDO_LABELLED


def test_size_of_the_enlarged_set(finished):
    done = finished.would_run(pseudo_labels={"enlarge_to": 12})
    assert done.rules() - RESULTS == {"enlarge", "train", "evaluate"}
    assert done.of("train") == PSEUDO_LABELLED
    assert done.of("evaluate") == evaluated(PSEUDO_LABELLED)


def test_one_more_draw(finished):
    done = finished.would_run(draws=2)
    for job in done.jobs:
        assert "pack=1" in job.wildcards or job.rule in RESULTS | {"all"}, job
    assert "prepare_domain" not in done.rules()
    assert len(done.of("train")) == len(METHODS)


def test_one_more_k(finished):
    done = finished.would_run(labels_per_class=[3, 4])
    for job in done.jobs:
        assert "labels_per_class=4" in job.wildcards or job.rule in RESULTS | {"all"}, job
    # Figures of one k stay; with two k there is the figure that compares them.
    assert "figure=hyper_validation_loss_pair" in done.of("figure")
    assert "figure=confusion-k4" in done.of("figure")
    assert "figure=confusion-k3" not in done.of("figure")
    # What sees no target label was trained already, and is evaluated for every k.
    assert len(done.of("train")) == len(METHODS) - len(WITHOUT_LABELS)
    assert len(done.of("evaluate")) == len(METHODS)


def test_one_more_method(finished):
    done = finished.would_run(
        methods={"gradmix_h2": {"recipe": "gradmix", "gradmix": {"last_layer": "H2"}}}
    )
    assert done.of("train") == of_k3("gradmix_h2")
    assert done.of("evaluate") == evaluated(of_k3("gradmix_h2"))
    assert done.rules() - RESULTS == {"train", "evaluate"}


def test_one_figures_code(finished):
    with finished.appended("gradmix/results/figures/confusion.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert done.rules() == {"figure", "report"}
    assert done.of("figure") == {"figure=confusion-k3"}


def test_the_figures_style(finished):
    with finished.appended("gradmix/results/figures/style.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert done.rules() == {"figure", "report"}
    drawn = {wildcard.removeprefix("figure=") for wildcard in done.of("figure")}
    figures = (finished.folder / "results/figures").glob("*.svg")
    assert drawn == {path.stem for path in figures}


def test_the_reports_template(finished):
    template = next(finished.folder.glob("gradmix/results/*.j2"))
    with finished.appended(str(template.relative_to(finished.folder)), "<!-- end -->\n"):
        assert finished.would_run().rules() == {"report"}


def test_comments_and_docstrings(finished):
    with (
        finished.appended("gradmix/mixing/gram.py", "\n# a remark\n"),
        finished.edited("gradmix/training/loop.py", '"""', '"""Really: '),
    ):
        assert finished.would_run().jobs == ()


RECIPES = "gradmix/methods/recipes.py"


def test_one_recipe(finished):
    with finished.edited(RECIPES, '(sources + V)", POOLED', '(sources + V)", POOLED, "mean"'):
        done = finished.would_run()
    assert done.of("train") == of_k3("pooled")
    assert done.of("evaluate") == evaluated(of_k3("pooled"))
    assert done.rules() - RESULTS == {"train", "evaluate"}


def test_the_recipe_of_a_method_that_another_starts_from(finished):
    with finished.edited(RECIPES, '(sum)", (SOURCES,)', '(sum)", (SOURCES,), "mean"'):
        done = finished.would_run()
    assert done.of("train") == of_k0("source_only") | of_k3("fine_tune")


def test_one_more_entry_in_each_table(finished):
    with (
        finished.edited(RECIPES, "RECIPES = (", 'RECIPES = (Recipe("new", "New", POOLED),'),
        finished.appended("gradmix/methods/mixers.py", '\nMIXERS["new"] = MIXERS["sum"]\n'),
        finished.appended("gradmix/terms/registry.py", '\nTERMS["new"] = TERMS["vat"]\n'),
        finished.appended("gradmix/nets/registry.py", '\nNETWORKS["new"] = NETWORKS["convnet"]\n'),
        finished.appended("gradmix/domains/registry.py", '\nORIGINS["new"] = ORIGINS["mnist"]\n'),
    ):
        assert finished.would_run().jobs == ()


@pytest.mark.parametrize(
    ("file", "methods"),
    [
        ("terms/mixmatch.py", ["target_only_mixmatch", "gradmix_mixmatch"]),
        ("mixing/meta_gradient.py", ["gradmix_sgd"]),
        ("mixing/guarded_sum.py", ["guarded_sum"]),
    ],
)
def test_the_file_of_one_term_or_mixer(finished, file, methods):
    with finished.appended(f"gradmix/{file}", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert done.of("train") == of_k3(*methods)
    assert done.of("evaluate") == evaluated(of_k3(*methods))
    assert done.rules() - RESULTS == {"train", "evaluate"}


def test_an_option_of_one_mixer(finished):
    with finished.edited("gradmix/methods/mixers.py", '"trust": Option(1.0', '"trust": Option(0.5'):
        done = finished.would_run()
    assert done.of("train") == of_k3("guided_sum", "guided_sum_hard")


def test_the_mixing(finished):
    with finished.appended("gradmix/mixing/gram.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    # The plain sum, of target-only's one loss too, is a mixer.
    assert len(done.of("train")) == len(METHODS)
    assert done.rules() >= GRID
    assert not done.rules() & {"prepare_domain", "split"}


def test_the_training_loop(finished):
    with finished.appended("gradmix/training/loop.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert len(done.of("train")) == len(METHODS)
    assert done.rules() >= GRID
    assert not done.rules() & {"prepare_domain", "split"}


def test_what_decides_when_and_with_which_others_a_run_is_trained(finished):
    with (
        finished.appended("gradmix/training/run.py", "\n_UNUSED = 1\n"),
        finished.appended("gradmix/training/stacked.py", "\n_UNUSED = 1\n"),
        finished.appended("gradmix/training/launch.py", "\n_UNUSED = 1\n"),
    ):
        assert finished.would_run().jobs == ()


def test_the_evaluation(finished):
    with finished.appended("gradmix/evaluation.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert not done.of("train") - PSEUDO_LABELLED
    assert len(done.of("evaluate")) == len(METHODS)


def test_the_splits(finished):
    with finished.appended("gradmix/splits.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert "prepare_domain" not in done.rules()
    assert len(done.of("split")) == 2


def test_an_origins_code(finished):
    with finished.appended("gradmix/domains/arrays.py", "\n_UNUSED = 1\n"):
        done = finished.would_run()
    assert done.of("prepare_domain") == {"domain=low_digits"}


def test_a_data_files_content(finished, tmp_path):
    workflow = finished.copy(tmp_path / "copy")
    write_arrays(workflow.folder / "data" / "low_digits.npz", count=65)
    done = workflow.would_run()
    assert done.of("prepare_domain") == {"domain=low_digits"}
    assert len(done.of("split")) == 2
    assert done.of("train") >= of_k0("source_only") | of_k3("gradmix", "pooled", "fine_tune")
    assert done.rules() >= GRID | RESULTS


def test_what_a_class_is_called(finished, tmp_path):
    own = {"classes": {"5": "five"}}
    changes = {
        "label_spaces": {"digits_5_9": ["five", *"6789"]},
        "domains": {"rendered_5_9": own, "sklearn_5_9": own},
    }
    done = finished.would_run(**changes)
    assert done.rules() == {"figure", "report"}
    named = {"confusion-k3", "pseudo_label_quality", "samples"}
    assert done.of("figure") == {f"figure={figure}" for figure in named}
    workflow = finished.copy(tmp_path / "copy")
    done = workflow.run("--allowed-rules", "report", "all", **changes)
    assert done.status == 0, done.text
    page = (workflow.folder / "results/report.html").read_text()
    assert "5 classes (digits_5_9): five, 6, 7, 8, 9" in page


def test_the_order_of_classes(finished):
    done = finished.would_run(label_spaces={"digits_5_9": list("65789")})
    assert done.of("prepare_domain") == {"domain=rendered_5_9", "domain=sklearn_5_9"}
    assert len(done.of("train")) == len(METHODS)
    assert done.rules() >= GRID | RESULTS | {"split"}


def test_keys_of_one_kind_of_method(finished):
    done = finished.would_run(training={"target_only_steps": 6})
    assert done.of("train") == of_k3("target_only")
    done = finished.would_run(training={"fine_tune_steps": 6})
    assert done.of("train") == of_k3("fine_tune")
    done = finished.would_run(methods={"pooled": {"training": {"steps": 6}}})
    assert done.of("train") == of_k3("pooled")


def test_beta(finished):
    done = finished.would_run(gradmix={"beta": 7})
    assert not done.rules() & (GRID | {"split", "select"})
    assert of_k3("gradmix") <= done.of("train") <= of_k3("gradmix") | PSEUDO_LABELLED


def test_the_network(finished):
    done = finished.would_run(network={"width": 6})
    assert len(done.of("train")) == len(METHODS)
    assert not done.rules() & {"prepare_domain", "split"}


def test_the_machine(finished):
    done = finished.would_run(
        device="auto",
        verify="quick",
        resources={
            "threads": 2,
            "memory_mb": 5000,
            "runtime_minutes": 5,
            "checkpoint_seconds": 5,
            "models_at_once": 54,
            "checkpoint_steps": 100,
        },
    )
    assert done.jobs == ()


def test_titles(finished):
    assert finished.would_run(title="Another").rules() == {"report"}
    done = finished.would_run(methods={"gradmix": {"title": "Ours"}})
    assert done.rules() <= RESULTS
    assert {"tables", "report"} <= done.rules()
    assert "figure=accuracy" in done.of("figure")


def test_nothing_that_trains_reads_the_truth_about_unlabelled_images(finished):
    """How right the pseudo-labels are goes into figures and report, and nowhere else."""
    text = finished.run("--dry-run", "--forceall").text
    blocks = re.findall(r"^(?:local)?rule (\w+):\n((?:    .*\n)*)", text, flags=re.MULTILINE)
    readers = {
        (rule, *re.findall(r"figure=(\S+)", details))
        for rule, details in blocks
        for line in details.splitlines()
        if line.startswith("    input:") and "packs/pseudo_label_quality" in line
    }
    assert readers == {("figure", "pseudo_label_quality"), ("report",)}


def test_records_name_what_they_were_made_with(finished):
    record = json.loads((finished.folder / "results/runs/3/0/gradmix/run.json").read_text())
    config = yaml.safe_load((finished.folder / "mini.yaml").read_text())
    assert record["settings"]["training"]["steps"] == config["training"]["steps"]
    assert record["title"] == "GradMix"
    assert len(record["code"]) == 16
    members = sorted(path.name for path in (finished.folder / "results/grid/3/0").iterdir())
    assert members == ["beta10-gamma0", "beta10-gamma0.5", "beta5-gamma0", "beta5-gamma0.5"]
