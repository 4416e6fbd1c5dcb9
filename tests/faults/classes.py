"""The classes of faults: what each does, how many cases a whole campaign has of it, and the seeds that come first."""

from tests.faults import configuration, damage, disk, kills, names, raw_files
from tests.faults.campaign import Kind

# Limits count on an idle machine, and grow with this one's slowness.
WORKFLOW = 240

KINDS = (
    Kind(
        "killed-job",
        "a stage's script gets SIGKILL, SIGTERM or SIGINT at up to three random moments, and is started again",
        kills.a_job,
        at_least=100,
        on_miniature=True,
    ),
    Kind(
        "killed-training",
        "the same up to six times, of scripts that train, which go on from their checkpoints",
        kills.a_training,
        at_least=100,
        on_miniature=True,
    ),
    Kind(
        "killed-workflow",
        "the controller or one of its workers is killed in a half-done experiment, and `snakemake` is started again",
        kills.a_workflow,
        at_least=14,
        seconds=WORKFLOW,
        on_miniature=True,
    ),
    Kind(
        "killed-after-change",
        "code of a finished experiment is changed, and a job of every stage in turn is killed when it runs again",
        kills.after_a_change,
        at_least=12,
        seeds=(3,),
        seconds=WORKFLOW,
        on_miniature=True,
    ),
    Kind(
        "full-disk",
        "a job writes to a file system of random size, and again when there is room",
        disk.in_a_job,
        at_least=60,
        seeds=(5, 17),
        on_miniature=True,
        skipped=disk.not_here,
    ),
    Kind(
        "full-disk-workflow",
        "the same with `snakemake` and the second half of the experiment",
        disk.in_a_workflow,
        at_least=3,
        seconds=WORKFLOW,
        on_miniature=True,
        skipped=disk.not_here,
    ),
    Kind(
        "damage",
        "bits, zeros, NaN, cuts or a sibling's content in a file under `output_dir`, its date kept; then one of its "
        "readers is run again",
        damage.a_file,
        at_least=220,
        seeds=(7, 15, 42, 49, 63, 76, 81, 85),
        on_miniature=True,
    ),
    Kind(
        "damage-in-place",
        "the same in a finished run's file, hard links included; the store must give back what was trained",
        damage.through_a_link,
        at_least=30,
        seeds=(0, 3, 4, 6, 7),
        on_miniature=True,
    ),
    Kind(
        "deleted",
        "a file of a finished experiment is deleted, and `snakemake` is started",
        damage.a_deleted_file,
        at_least=8,
        seconds=WORKFLOW,
        on_miniature=True,
    ),
    Kind(
        "configuration",
        "a hostile value in a field; what is accepted must carry planning, and options the first steps of training",
        configuration.in_a_field,
        at_least=300,
        seeds=range(len(configuration.KNOWN)),
    ),
    Kind(
        "configuration-file",
        "the file itself is damaged; `snakemake --dry-run`",
        configuration.in_a_file,
        at_least=20,
        seconds=120,
        on_miniature=True,
    ),
    Kind(
        "raw-file",
        "a file of each origin is damaged, or a link, folder, fifo or other file stands in its place",
        raw_files.a_file,
        at_least=150,
        seeds=(1, 3, 10, 35, 50, 53, 86, 114, 127),
        seconds=30,
    ),
    Kind(
        "picture",
        "a picture of another type or shape",
        raw_files.a_picture,
        at_least=40,
        seeds=(0, 3, 8, 9, 13, 21),
        seconds=30,
    ),
    Kind(
        "archive",
        "an .npz that holds something else",
        raw_files.an_archive,
        at_least=50,
        seeds=(0, 5, 10, 16, 24),
        seconds=30,
    ),
    Kind(
        "table-of-files",
        "a CSV that is wrong",
        raw_files.a_table,
        at_least=50,
        seeds=(29, 39),
        seconds=30,
    ),
    Kind(
        "tree",
        "something odd among class folders",
        raw_files.a_tree,
        at_least=40,
        seeds=(1, 5, 13, 14, 17, 18),
        seconds=30,
    ),
    Kind(
        "name",
        "a hostile name in the configuration, through to tables and report",
        names.through_the_workflow,
        at_least=10,
        seconds=WORKFLOW,
        on_miniature=True,
    ),
    Kind(
        "name-in-a-tree", "a class folder or file with a hostile name", names.in_a_tree, at_least=40
    ),
)
