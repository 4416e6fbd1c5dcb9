"""The keys of a domain, by the origin of its images."""

from functools import cache
from typing import Annotated, Literal, get_args

from pydantic import Field

from gradmix.config.types import ClassName, Count, Name, Natural, Section


class Domain(Section):
    """What domains of every origin have."""

    label_space: Annotated[Name, Field(description="label space of its labels")]
    classes: Annotated[
        dict[ClassName, ClassName] | None,
        Field(
            description="renaming: class of the origin -> class of the label space; null: same names"
        ),
    ] = None
    resize: Annotated[
        Literal["bilinear", "none"], Field(description="how images get the size of `image`")
    ] = "bilinear"


class RenderedDigits(Domain):
    """Street-like digits, generated from fonts."""

    origin: Literal["rendered_digits"]
    count: Annotated[Count, Field(description="number of images over all classes")] = 3000
    seed: Annotated[Natural, Field(description="seed of the generator")] = 0


class SklearnDigits(Domain):
    """The 8x8 handwritten digits that come with scikit-learn."""

    origin: Literal["sklearn_digits"]


class Mnist(Domain):
    """MNIST, from files in `data_dir` or downloaded."""

    origin: Literal["mnist"]
    split: Annotated[Literal["train", "test"], Field(description="part of the data set")]


class Svhn(Domain):
    """SVHN's cropped digits, from files in `data_dir` or downloaded."""

    origin: Literal["svhn"]
    split: Annotated[Literal["train", "test", "extra"], Field(description="part of the data set")]


class Arrays(Domain):
    """Anybody's own images, in an .npz file."""

    origin: Literal["arrays"]
    file: Annotated[str, Field(min_length=1, description="the .npz file, relative to `data_dir`")]
    images: Annotated[str, Field(description="its array of images (N,H,W) or (N,H,W,C), uint8")] = (
        "images"
    )
    labels: Annotated[
        str, Field(description="its array of labels, numbers or class names (N,)")
    ] = "labels"
    groups: Annotated[
        str | None,
        Field(description="its array of groups (N,), never parted by a split; null: none"),
    ] = None
    originals: Annotated[
        str | None, Field(description="its array of the images' own names (N,); null: none")
    ] = None


AnyDomain = RenderedDigits | SklearnDigits | Mnist | Svhn | Arrays


@cache
def origins() -> dict[str, type[Domain]]:
    """The sections by the origin that they describe."""
    return {
        get_args(model.model_fields["origin"].annotation)[0]: model for model in get_args(AnyDomain)
    }
