# What the controller does before its first job and after its last; the snakemake inside a job does none of it.
import atexit

from gradmix.leftovers import cancel_leftovers, run_id_in
from gradmix.training.lock import RunInUseError, RunLock
from workflow_scripts.gradmix_stage import error_in

OUTPUT_LOCK = RunLock(
    Path(OUT, ".store"),
    lambda line: print(line, file=sys.stderr),
    "the files of this output_dir are being made by another snakemake,",
)
SHOWN = 20
MEND = "Mend the cause and run the same command again: what is finished is kept."
STOPPED = (
    "Stopped. Run the same command again to go on: what is finished is kept, "
    "and trainings go on from their checkpoints."
)


def interrupted(kind, error, trace):
    """Say how to go on where Ctrl-C comes before the first job; Snakemake itself leaves a traceback then."""
    if issubclass(kind, KeyboardInterrupt):
        print("\nStopped before the first job; nothing has changed.", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


if workflow.is_main_process:
    sys.excepthook = interrupted


def own_output_dir():
    """Be the only snakemake that makes files in output_dir, until this process ends.

    Snakemake's own locks are off in the profiles: they outlive their process, and whichever ends first deletes all.
    """
    try:
        OUTPUT_LOCK.take(wait=0)
    except RunInUseError as error:
        refuse(str(error))
    except OSError as error:
        refuse(f"output_dir: {OUT} cannot be written ({error})")


def end_leftovers(log):
    """End jobs on a SLURM cluster that outlived an earlier controller of this experiment."""
    run_id = run_id_in([log] if isinstance(log, str) else log)
    if run_id:
        say = lambda line: print(line, file=sys.stderr)
        cancel_leftovers(Path(OUT, ".store", "slurm_runs"), run_id, say)


def failed_jobs():
    """Sentences of the jobs that failed, from their logs."""
    jobs = [
        job
        for failed in workflow.scheduler.failed
        for job in (failed.jobs if failed.is_group() else [failed])
    ]
    sentences = []
    for job in sorted(jobs, key=str):
        name = ", ".join([job.rule.name, *(f"{k}={v}" for k, v in job.wildcards.items())])
        sentences += [f"error in {name}: {error_in(log)}\n(log: {log})" for log in job.log]
    return sentences


def failed_figures():
    """Sentences of the figures that were asked for and could not be drawn; the report says so in their places."""
    packs = {
        "figure": lambda job: [job.wildcards.figure],
        "figures": lambda job: FIGURE_PACKS[job.wildcards.pack],
    }
    stems = [
        stem
        for job in workflow.dag.jobs
        if job.rule.name in packs
        for stem in packs[job.rule.name](job)
    ]
    return [f"figure {stem} could not be drawn: {why}" for stem, why in undrawn(stems).items()]


def say_last(sentences, advice):
    """Print behind all that Snakemake still has to say."""
    more = [f"... and {len(sentences) - SHOWN} more"] if len(sentences) > SHOWN else []
    lines = "\n".join([*sentences[:SHOWN], *more, advice])
    atexit.register(print, f"\n{lines}", file=sys.stderr)
