"""A fault campaign: kills, full disks, damaged files and hostile inputs, from committed seeds, with a table at the end.

    python -m tests.faults --minutes 30 --seed 1
    python -m tests.faults --only damage:17            one case again, with all that it says

A class of faults is an entry of `classes.py`: data, and a short function that does one case.
"""
