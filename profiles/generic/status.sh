#!/bin/sh
# What became of a job: running, success or failed.
state=$(scontrol --oneliner show job "$1" 2>/dev/null | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p')
case "$state" in
    COMPLETED) echo success ;;
    PENDING | CONFIGURING | RUNNING | COMPLETING | SUSPENDED | REQUEUED) echo running ;;
    # A controller that does not answer for a moment has lost no job; one that has forgotten it has.
    "") if scontrol ping >/dev/null 2>&1; then echo failed; else echo running; fi ;;
    *) echo failed ;;
esac
