"""A table for `write_domain`, as short as tests like it."""

import pandas as pd


def table(labels) -> pd.DataFrame:
    names = [str(label) for label in labels]
    empty = dict.fromkeys(("group", "clip", "original"), [""] * len(names))
    return pd.DataFrame({"label": labels, "class_name": names} | empty)
