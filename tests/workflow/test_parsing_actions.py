"""config/actions.yaml, the paper's second experiment, on the official lists with a tree of empty files."""

import pytest
from ucf101_tree import make_tree


@pytest.fixture(scope="module")
def fake_data(tmp_path_factory):
    return make_tree(tmp_path_factory.mktemp("actions"))


def options(data):
    return ("--configfile", "config/actions.yaml"), {"data_dir": str(data)}


def test_the_papers_second_experiment_is_planned(fresh, fake_data):
    given, config = options(fake_data)
    done = fresh.would_run(*given, **config)
    assert done.of("extract_frames") == {
        f"domain={name}" for name in ("mpii", "bu101", "ucf101_train", "ucf101_test")
    }
    assert "initial_weights" in done.rules()
    packs = [job for job in done.jobs if job.rule.startswith("train_grid")]
    assert len(packs) == 6 * 3 * 2
    # Ten rows of Table 3, GradMix read literally and pooling; source-only once per draw.
    assert len(done.of("train")) == 11 * 3 * 2 + 2
    assert len(done.of("evaluate")) == 12 * 3 * 2


def test_size_on_disk_is_reckoned_before_anything_starts(fresh, fake_data):
    given, config = options(fake_data)
    done = fresh.run("estimate_extraction", *given, **config)
    assert done.status == 0, done.text[-2000:]
    size = 9537 * 10 * 128 * 128 * 3 / 1e9
    assert (
        f"ucf101_train: 9,537 files, about 95,370 images of 128 x 128, {size:.2f} GB" in done.text
    )
    assert "mpii: cannot be prepared: " in done.text


def test_all_that_is_missing_is_said_while_planning(fresh, tmp_path):
    given, config = options(tmp_path)
    done = fresh.run("--dry-run", *given, **config)
    assert done.status != 0
    told = done.text.split("Raw files are missing")[1].splitlines()[1:]
    both = "domains.ucf101_train, domains.ucf101_test"
    assert f"  {tmp_path}/mpii/mpii_human_pose_v1_u12_1.mat (domains.mpii)" in told
    assert f"  {tmp_path}/UCF-101 ({both})" in told
    assert len(told) == 2 + 1 + 4
