"""From real video files to Table 3 and a report page, with ResNet-18: config/sports.yaml, smaller still."""

import json
import os
import shutil
from pathlib import Path

import pandas as pd
import pytest
import yaml
from experiment import make_workflow
from make_sports import TARGET, make_sports

BROKEN = f"{TARGET[1]}/v_{TARGET[1]}_g05_c02.avi"
PHOTOGRAPHS = "sports22/sports22_96.zip"


@pytest.fixture(scope="module")
def finished_clips(repository, tmp_path_factory):
    data = Path(os.environ.get("GRADMIX_DATA_DIR") or "/nowhere")
    if not (data / PHOTOGRAPHS).is_file():
        pytest.skip(f"{PHOTOGRAPHS} is not in GRADMIX_DATA_DIR")
    workflow = make_workflow(repository, tmp_path_factory.mktemp("clips") / "workflow")
    sports = workflow.folder / "data" / "sports"
    make_sports(data / PHOTOGRAPHS, sports, classes=3, images=10, groups=8)
    for folder in ("ucf101/clips", "hmdb51_samples"):
        shutil.copytree(data / folder, sports / "real", dirs_exist_ok=True)
    broken = sports / "clips" / BROKEN
    broken.write_bytes(broken.read_bytes()[:3000])
    config = yaml.safe_load((repository / "config" / "sports.yaml").read_text())
    (workflow.folder / "mini.yaml").write_text(yaml.safe_dump(config | smaller(config)))
    done = workflow.run("all", "results/domains/real/domain.json")
    assert done.status == 0, done.text[-6000:]
    return workflow


def smaller(config):
    short = ("steps", "target_only_steps", "fine_tune_steps")
    every = ("evaluate_every", "target_only_evaluate_every", "fine_tune_evaluate_every")
    training = dict.fromkeys(short, 2) | dict.fromkeys(every, 1)
    training |= {"batch_size": 4, "target_batch_size": 4}
    domains = {
        name: domain | ({"frames_per_clip": 3, "most_left_out": 0.05} if "clips" in name else {})
        for name, domain in config["domains"].items()
    }
    domains["real"] = {
        "origin": "clip_folder",
        "folder": "real",
        "frames_per_clip": 4,
        "label_space": "real",
    }
    return {
        "output_dir": "results",
        "device": "cpu",
        "image": {"height": 40, "width": 40, "crop": 32, "flip": True},
        "label_spaces": {"sports": list(TARGET[:3]), "other_sports": "auto", "real": "auto"},
        "domains": domains,
        "target": config["target"] | {"hyper_validation_per_class": 2},
        "labels_per_class": [2],
        "training": config["training"] | training,
        "grid": config["grid"] | {"beta": [10]},
        "pseudo_labels": {"models": 1, "threshold": 0.0, "enlarge_to": 8},
        "resources": config["resources"]
        | {"draws_per_job": 2, "methods_per_evaluation": 9, "figures_per_job": 30},
        "methods": {m: {} for m in ("target_only", "energy_net", "gradmix", "gradmix_hard")},
    }


def read_json(workflow, path):
    return json.loads((workflow.folder / "results" / path).read_text())


def test_clips_become_rows_of_frames_and_the_broken_one_is_named(finished_clips):
    domain = read_json(finished_clips, "domains/clips/domain.json")
    assert domain["files"] == 3 * 6 * 2 - 1
    assert domain["count"] == 3 * domain["files"]
    (left_out,) = domain["left_out"]
    assert left_out["original"] == BROKEN
    log = (finished_clips.folder / "results/logs/extract_frames/clips.log").read_text()
    assert f"left out: {BROKEN}" in log
    real = read_json(finished_clips, "domains/real/domain.json")
    assert (real["files"], real["count"], len(real["classes"])) == (9, 36, 7)


def test_sets_hold_whole_clips_of_groups_of_their_own(finished_clips):
    index = pd.read_parquet(finished_clips.folder / "results/domains/clips/index.parquet")
    for draw in (0, 1):
        split = read_json(finished_clips, f"splits/2/{draw}.json")
        clips = {name: set(index["clip"][split[name]]) for name in ("V", "H", "U")}
        groups = [set(index["group"][split[name]]) for name in ("V", "H", "U")]
        assert len(clips["V"]) == len(clips["H"]) == 2 * 3
        assert sum(map(len, groups)) == len(set.union(*groups))
        for name, rows in clips.items():
            assert index["clip"].isin(rows).sum() == len(split[name]), name


def test_accuracy_per_frame_and_per_video(finished_clips):
    metrics = read_json(finished_clips, "runs/2/1/energy_net/metrics.json")
    assert metrics["video_count"] == 3 * 2 * 2
    assert metrics["test_count"] == 3 * metrics["video_count"]
    assert (metrics["accuracy_per_video"] * 12) % 1 == pytest.approx(0)
    table = pd.read_csv(finished_clips.folder / "results/tables/table3.csv")
    assert set(table["method"]) == {"target_only", "energy_net", "gradmix", "gradmix_hard"}
    video = pd.read_csv(finished_clips.folder / "results/tables/accuracy_per_video.csv")
    row = video[video["method"] == "energy_net"].iloc[0]
    single = [
        read_json(finished_clips, f"runs/2/{draw}/energy_net/metrics.json")["accuracy_per_video"]
        for draw in (0, 1)
    ]
    assert row["mean_percent"] == pytest.approx(100 * sum(single) / 2)


def test_the_report_speaks_of_videos_and_of_what_was_left_out(finished_clips):
    page = (finished_clips.folder / "results/report.html").read_text()
    assert "per video" in page
    assert "per frame" in page
    assert BROKEN in page
    assert (finished_clips.folder / "results/figures/samples.png").stat().st_size > 10_000


def test_nothing_reruns_until_a_clip_changes(finished_clips):
    assert finished_clips.would_run().jobs == ()
    clips = finished_clips.folder / "data/sports/clips"
    victim = next((clips / TARGET[0]).iterdir())
    content, times = victim.read_bytes(), victim.stat()
    victim.write_bytes(content + b"\0")
    try:
        done = finished_clips.would_run()
        # Both lists' domains look at the one tree; photographs of other folders stay.
        assert done.of("extract_frames") == {"domain=clips", "domain=clips_test"}
        assert "split" in done.rules()
    finally:
        victim.write_bytes(content)
        os.utime(victim, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert finished_clips.would_run().jobs == ()


def test_the_estimate_is_printed_and_makes_nothing(finished_clips):
    done = finished_clips.run("estimate_extraction")
    assert done.status == 0
    assert "clips: 36 files, about 108 images of 40 x 40" in done.text
    assert "in all: " in done.text


def test_too_many_broken_clips_end_it_with_their_names(finished_clips):
    done = finished_clips.run(
        "results/domains/clips/domain.json", domains={"clips": {"most_left_out": 0.0}}
    )
    assert done.status != 0
    assert "1 of 36 clips (2.8 %) cannot be used, more than most_left_out (0)" in done.text
    assert BROKEN in done.text
