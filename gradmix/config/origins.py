"""The keys of a domain, by the origin of its images."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from gradmix.config.types import (
    ClassName,
    Count,
    Float,
    Name,
    PathText,
    Section,
    Seed,
    Share,
    Text,
    nothing_is_empty,
    shown,
)


def _one_group(value: str) -> str:
    try:
        groups = re.compile(value).groups
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"{shown(value)} is no regular expression: {error}") from None
    if groups != 1:
        raise ValueError(f"must have one group, such as '_g(\\d+)_', but has {groups}")
    return value


GroupPattern = Annotated[
    Annotated[Text, AfterValidator(_one_group)] | None,
    Field(description="regular expression whose one group names a file's group"),
]
# Keys that say how raw data are used, not which they are.
_USES = {"share", "label_space", "classes", "resize", "most_left_out"}
_USES |= {"count", "frames_per_clip", "every"}


def _interval(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 <= value[0] < value[1] <= 1:
        raise ValueError(f"must be [from, to] with 0 <= from < to <= 1, but is {list(value)}")
    return value


Interval = Annotated[tuple[Float, Float], AfterValidator(_interval)]


class Domain(Section):
    """Keys that domains of every origin have."""

    label_space: Annotated[Name, Field(description="label space of its labels")]
    classes: Annotated[
        dict[ClassName, ClassName] | None,
        Field(
            description="renaming: class of the origin -> class of the label space; null: same names"
        ),
    ] = None
    share: Annotated[
        Interval | None,
        Field(
            description="[from, to]: part of the raw data, in 0..1, that it is cut from; null: all"
        ),
    ] = None

    @property
    def has_clips(self) -> bool:
        """Whether its images are frames of clips."""
        return False

    def raw_data(self) -> dict[str, Any]:
        """Give its origin and the keys that say which raw data it reads."""
        return self.model_dump(mode="json", exclude=_USES)


class ArrayDomain(Domain):
    """Images that come as arrays."""

    resize: Annotated[
        Literal["bilinear", "none"], Field(description="how images get the size of `image`")
    ] = "bilinear"


class FileDomain(Domain):
    """Photographs or clips in files."""

    resize: Annotated[
        Literal["cover", "stretch"],
        Field(description="how images get the size of `image`: keeping proportions, or not"),
    ] = "cover"
    most_left_out: Annotated[
        Share, Field(description="largest share of files that may be unusable")
    ] = 0.02


class ClipDomain(FileDomain):
    """Clips, of which some frames become images."""

    frames_per_clip: Annotated[
        Count | None, Field(description="frames kept of a clip, uniformly spread")
    ] = None
    every: Annotated[Count | None, Field(description="every n-th frame is kept")] = None

    @model_validator(mode="after")
    def _one_sampling(self) -> "ClipDomain":
        if self.has_clips and (self.frames_per_clip is None) == (self.every is None):
            raise ValueError("needs one of frames_per_clip and every")
        return self

    @property
    def has_clips(self) -> bool:
        """Whether its images are frames of clips."""
        return True


class RenderedDigits(ArrayDomain):
    """Street-like digits, generated from fonts."""

    origin: Literal["rendered_digits"]
    count: Annotated[Count, Field(description="number of images over all classes")] = 3000
    seed: Annotated[Seed, Field(description="seed of the generator")] = 0


class SklearnDigits(ArrayDomain):
    """The 8x8 handwritten digits that come with scikit-learn."""

    origin: Literal["sklearn_digits"]


class Mnist(ArrayDomain):
    """MNIST, from files in `data_dir` or downloaded."""

    origin: Literal["mnist"]
    split: Annotated[Literal["train", "test"], Field(description="part of the data set")]


class Svhn(ArrayDomain):
    """SVHN's cropped digits, from files in `data_dir` or downloaded."""

    origin: Literal["svhn"]
    split: Annotated[Literal["train", "test", "extra"], Field(description="part of the data set")]


class Arrays(ArrayDomain):
    """Anybody's own images, in an .npz file."""

    origin: Literal["arrays"]
    file: Annotated[PathText, Field(description="the .npz file, relative to `data_dir`")]
    images: Annotated[
        Text, Field(description="its array of images (N,H,W) or (N,H,W,C), uint8")
    ] = "images"
    labels: Annotated[
        Text, Field(description="its array of labels, numbers or class names (N,)")
    ] = "labels"
    groups: Annotated[
        Text | None,
        Field(description="its array of groups (N,), never parted by a split; null: none"),
    ] = None
    originals: Annotated[
        str | None, Field(description="its array of the images' own names (N,); null: none")
    ] = None


class Ucf101(ClipDomain):
    """UCF101's clips, in the official tree, by the official lists."""

    origin: Literal["ucf101"]
    part: Annotated[Literal["train", "test"], Field(description="part of the split")]
    list_split: Annotated[Literal[1, 2, 3], Field(description="official split")] = 1
    clips: Annotated[PathText, Field(description="folder of class folders of clips")] = "UCF-101"
    lists: Annotated[PathText, Field(description="folder of the official lists")] = (
        "ucfTrainTestlist"
    )


class Bu101(FileDomain):
    """BU101's web images, in a folder per class of UCF101."""

    origin: Literal["bu101"]
    folder: Annotated[PathText, Field(description="folder of class folders of images")] = "BU101"


class Mpii(FileDomain):
    """MPII Human Pose as activities."""

    origin: Literal["mpii"]
    annotations: Annotated[
        PathText, Field(description="the official .mat, or a JSON conversion")
    ] = "mpii_human_pose_v1_u12_2/mpii_human_pose_v1_u12_1.mat"
    images: Annotated[PathText, Field(description="folder of the images")] = "images"
    labels: Annotated[
        Literal["act_name", "cat_name"], Field(description="activities, or their categories")
    ] = "act_name"
    part: Annotated[
        Literal["train", "all"], Field(description="the training images, or all with an activity")
    ] = "train"


class ImageFolder(FileDomain):
    """Anybody's own images, in a folder per class."""

    origin: Literal["image_folder"]
    folder: Annotated[PathText, Field(description="folder of class folders of images")]
    group_pattern: GroupPattern = None


class ClipFolder(ClipDomain):
    """Anybody's own clips, in a folder per class."""

    origin: Literal["clip_folder"]
    folder: Annotated[PathText, Field(description="folder of class folders of clips")]
    group_pattern: GroupPattern = None


class Manifest(ClipDomain):
    """Anybody's own images or clips, by a table."""

    origin: Literal["manifest"]
    kind: Annotated[Literal["images", "clips"], Field(description="what the files are")]
    file: Annotated[PathText, Field(description="CSV with path, label, and maybe group and split")]
    folder: Annotated[PathText | None, Field(description="of the paths; null: the CSV's own")] = (
        None
    )
    split: Annotated[Text | None, Field(description="only rows of this split; null: all")] = None

    @property
    def has_clips(self) -> bool:
        """Whether its images are frames of clips."""
        return self.kind == "clips"


def _bare_share(value: Any) -> Any:
    # `images: 0.7` is short for `images: {share: 0.7}`.
    return value if isinstance(value, Mapping | BaseModel | list) else {"share": value}


class ImageChanges(Section):
    """How many images are changed, and how."""

    share: Annotated[Share, Field(description="of the images")] = 0.0
    kind: Annotated[
        Literal["any", "noise"],
        Field(description="any: rotation, salt and pepper, or one of two flips; noise: normal"),
    ] = "any"


class LabelChanges(Section):
    """How many labels are changed, and how."""

    share: Annotated[Share, Field(description="of the labels")] = 0.0
    kind: Annotated[
        Literal["uniform", "shift"],
        Field(description="uniform: any class, the true one too; shift: the next class"),
    ] = "uniform"


class Perturbed(Section):
    """Another domain, whose images and labels are in part changed on purpose."""

    origin: Literal["perturbed"]
    of: Annotated[Name, Field(description="the domain, not itself perturbed")]
    # Empty where `of` names no domain, which the checks of the whole configuration report.
    label_space: Annotated[Name, Field(description="that of `of`, filled in")] = ""
    images: Annotated[
        ImageChanges, BeforeValidator(_bare_share), BeforeValidator(nothing_is_empty)
    ] = ImageChanges()
    labels: Annotated[
        LabelChanges, BeforeValidator(_bare_share), BeforeValidator(nothing_is_empty)
    ] = LabelChanges()
    seed: Annotated[Seed, Field(description="seed of the changes")] = 0


RawDomain = (
    RenderedDigits
    | SklearnDigits
    | Mnist
    | Svhn
    | Arrays
    | Ucf101
    | Bu101
    | Mpii
    | ImageFolder
    | ClipFolder
    | Manifest
)
AnyDomain = RawDomain | Perturbed


@cache
def origins() -> dict[str, type[Section]]:
    """Map every origin to the section that describes it."""
    return {
        get_args(model.model_fields["origin"].annotation)[0]: model for model in get_args(AnyDomain)
    }
