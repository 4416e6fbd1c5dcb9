"""Domains that exist as tables only: for code that looks at labels, contents and groups, not at images."""

from pathlib import Path

import numpy as np
import pandas as pd

from gradmix.domains.format import Domain


def make_domain(
    name, labels, content=None, group=None, files=None, classes=None, clip=None
) -> Domain:
    """Every image has a content of its own unless `content` says otherwise."""
    labels = np.asarray(labels, dtype=np.int64)
    count = len(labels)
    classes = classes or [str(label) for label in range(int(labels.max()) + 1)]
    info = {"name": name, "label_space": "space", "classes": classes, "sources": files or {}}
    domain = Domain(Path(name), np.zeros((count, 1, 1, 1), np.uint8), labels, info)
    # A cached property, so that nothing is read from the disk.
    domain.__dict__["index"] = pd.DataFrame(
        {
            "label": labels,
            "group": list(group) if group is not None else [""] * count,
            "clip": list(clip) if clip is not None else [""] * count,
            "content": list(content)
            if content is not None
            else [f"{name}-{i}" for i in range(count)],
        }
    )
    return domain


def index_of(labels) -> pd.DataFrame:
    """What `write_domain` wants to know of images with these labels."""
    empty = dict.fromkeys(("group", "clip", "original"), "")
    return pd.DataFrame({"label": labels, "class_name": [str(label) for label in labels]} | empty)
