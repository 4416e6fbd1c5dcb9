"""What a run is trained with: typed, frozen, and as JSON in a rule's parameters and a run's record.

Imports no torch: the workflow makes these while it is parsed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, TypeAlias

from gradmix.methods.method import SCHEDULES, Method, ScheduleName

Value: TypeAlias = "bool | int | float | str | Sequence[Value] | Mapping[str, Value] | None"
"""What JSON can hold: an option of a network, a mixer or a term, whose own class says what it takes."""

Precision = Literal["float32", "bfloat16"]
Forward = Literal["separate", "together"]
Options: TypeAlias = Mapping[str, Value]


@dataclass(frozen=True)
class Pace:
    """How often a checkpoint is written; a matter of the machine, which changes no result.

    Attributes:
        seconds: at the latest so long after the last one.
        steps: and so many steps after it; ``None``: by the clock alone.
    """

    seconds: float = 30.0
    steps: int | None = None


@dataclass(frozen=True)
class Schedule:
    """How long and how fast: a constant rate, and an evaluation on H at fixed intervals.

    Attributes:
        optimizer: ``"sgd"`` or ``"adam"``.
        steps: of the whole training.
        evaluate_every: steps between two evaluations.
        learning_rate: before a mixer's eta.
        momentum: of SGD.
        weight_decay: in the optimizer's step only.
        precision: of forward passes, ``"float32"`` or ``"bfloat16"``.
        flip: whether half of the training images are mirrored left to right.
        forward: ``"separate"``: a forward pass for every stream; ``"together"``: a joint one.
    """

    optimizer: str
    steps: int
    evaluate_every: int
    learning_rate: float
    momentum: float = 0.0
    weight_decay: float = 0.0
    precision: Precision = "float32"
    flip: bool = False
    forward: Forward = "separate"


@dataclass(frozen=True)
class Image:
    """Size of the stored images in pixels, and what of them the network sees.

    Attributes:
        height: of the stored images.
        width: likewise.
        crop: side of the square that the network sees; ``None``: the whole image.
        flip: whether half of the training images are mirrored left to right.
    """

    height: int
    width: int
    crop: int | None = None
    flip: bool = False


@dataclass(frozen=True)
class BatchSizes:
    """Images of a mini-batch; ``None`` where the method has no such stream.

    Attributes:
        sources: of a source, or of S_u.
        target: of a V that is larger; a smaller one takes part whole.
        unlabelled: of U.
    """

    sources: int | None = None
    target: int | None = None
    unlabelled: int | None = None


_SIZES = {
    "batch_size": "sources",
    "target_batch_size": "target",
    "unlabelled_batch_size": "unlabelled",
}
_IN_TRAINING = {"schedule", "fine_tuning", "batch_sizes", "selection_per_class"}
_OF_EVERY_SCHEDULE = ("weight_decay", "precision", "forward", "momentum")
_TRAINING_KEYS = {
    *(key for keys in SCHEDULES.values() for key in keys),
    *_OF_EVERY_SCHEDULE,
    *_SIZES,
    "selection_per_class",
}


@dataclass(frozen=True)
class RunSettings:
    """All that training a method depends on, besides its input files, k, draw and seed.

    Attributes:
        name: of the method.
        recipe: name of its recipe.
        method: what the recipe says of training, with the mixer and terms that the configuration puts into it.
        terms: those of them that the configuration put there.
        sources: names of the source domains, in their order.
        target: name of the target domain.
        image: what the network sees of the images.
        network: its name and options.
        schedule: of the training.
        fine_tuning: of a second part, on V's own labels (H2); ``None``: there is none.
        batch_sizes: of the streams.
        selection_per_class: images of H per class that choose; ``"labels_per_class"``: k; ``None``: all.
        gradmix: options of a guided mixer.
        options: own options of its mixer and terms, by part.
        member: which of several runs of a method it is, such as a member of the grid.
        title: the row in tables, on which no result depends; ``None``: its name.
        candidates: settings by name, of which the best on H is the method's run; empty: these alone.
    """

    name: str
    recipe: str
    method: Method
    sources: tuple[str, ...]
    target: str
    image: Image
    network: Options
    schedule: Schedule
    fine_tuning: Schedule | None = None
    batch_sizes: BatchSizes = BatchSizes()
    selection_per_class: int | Literal["labels_per_class"] | None = None
    gradmix: Options = field(default_factory=dict)
    options: Mapping[str, Options] = field(default_factory=dict)
    terms: tuple[str, ...] = ()
    member: str | None = None
    title: str | None = None
    candidates: "Mapping[str, RunSettings]" = field(default_factory=dict)

    @property
    def modules(self) -> list[str]:
        """Modules that make a run's numbers, for the fingerprint of its code.

        What decides when, where and with which others it is trained is none of them: that leaves them as they are, up
        to rounding. Modules that training imports by name are.
        """
        parts = {f"gradmix.training.{part}" for part in ("phases", "alone", "record", "candidates")}
        for tried in self.candidates.values() or [self]:
            parts |= {*tried.method.modules, f"gradmix.nets.{tried.network['name']}"}
            if tried.fine_tuning is not None:
                parts.add("gradmix.mixing.sum")
            if tried.schedule.forward == "together":
                parts.add("gradmix.training.joint")
        return sorted(parts)

    def to_json(self) -> dict[str, Any]:
        """As JSON, in the words of the configuration; what has no effect on this run is left out."""
        training = {
            **_timing(self.schedule, self.method.schedule),
            **({} if self.fine_tuning is None else _timing(self.fine_tuning, "fine_tune")),
            "weight_decay": self.schedule.weight_decay,
            "precision": self.schedule.precision,
        }
        if self.schedule.optimizer == "sgd":
            training["momentum"] = self.schedule.momentum
        if self.schedule.forward != "separate":
            training["forward"] = self.schedule.forward
        sizes = {key: getattr(self.batch_sizes, name) for key, name in _SIZES.items()}
        training |= {key: size for key, size in sizes.items() if size is not None}
        if self.selection_per_class is not None:
            training["selection_per_class"] = self.selection_per_class
        values = {
            "name": self.name,
            "recipe": self.recipe,
            "method": self.method.to_json(),
            "mixer": self.method.mixer,
            "sources": list(self.sources),
            "target": self.target,
            "image": asdict(self.image),
            "network": dict(self.network),
            "training": training,
        }
        optional = {
            "gradmix": dict(self.gradmix),
            "options": {part: dict(own) for part, own in self.options.items()},
            "terms": list(self.terms),
            "member": self.member,
            "title": self.title,
            "candidates": {name: tried.to_json() for name, tried in self.candidates.items()},
        }
        return values | {name: value for name, value in optional.items() if value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "RunSettings":
        """Make the settings that `to_json` described.

        Raises:
            ValueError: if a key is missing or unknown; the message names it.
        """
        name = values.get("name")
        try:
            return cls._read(values)
        except KeyError as error:
            raise ValueError(f"settings of {name}: {error} is missing") from error
        except TypeError as error:
            raise ValueError(f"settings of {name}: {error}") from error

    @classmethod
    def _read(cls, values: Mapping[str, Any]) -> "RunSettings":
        known = {field.name for field in fields(cls)} - _IN_TRAINING | {"training", "mixer"}
        unknown = (values.keys() - known) | (values["training"].keys() - _TRAINING_KEYS)
        if unknown:
            raise ValueError(f"settings of {values['name']}: unknown key {min(unknown)!r}")
        method = Method.from_json(values["method"])
        if values.get("mixer", method.mixer) != method.mixer:
            raise ValueError(
                f"settings of {values['name']}: mixer is {values['mixer']}, but the method's is {method.mixer}"
            )
        training, image = values["training"], Image(**values["image"])
        gradmix = values.get("gradmix", {})
        fine_tunes = method.last_layer_fine_tunes and gradmix.get("last_layer") == "H2"
        return cls(
            name=values["name"],
            recipe=values["recipe"],
            method=method,
            sources=tuple(values["sources"]),
            target=values["target"],
            image=image,
            network=values["network"],
            schedule=schedule_of(training, method.schedule, flip=image.flip),
            fine_tuning=schedule_of(training, "fine_tune", flip=image.flip) if fine_tunes else None,
            batch_sizes=BatchSizes(**{name: training.get(key) for key, name in _SIZES.items()}),
            selection_per_class=training.get("selection_per_class"),
            gradmix=gradmix,
            options=values.get("options", {}),
            terms=tuple(values.get("terms", ())),
            member=values.get("member"),
            title=values.get("title"),
            candidates={
                name: cls.from_json(tried) for name, tried in values.get("candidates", {}).items()
            },
        )


def schedule_of(training: Mapping[str, Any], name: ScheduleName, *, flip: bool) -> Schedule:
    """The schedule by that name among the keys of ``training``."""
    steps, evaluate_every, learning_rate = (training[key] for key in SCHEDULES[name])
    adam = name == "adam"
    known = [key for key in _OF_EVERY_SCHEDULE if key != "momentum" or not adam]
    return Schedule(
        "adam" if adam else "sgd",
        steps,
        evaluate_every,
        learning_rate,
        flip=flip,
        **{key: training[key] for key in known if key in training},
    )


def _timing(schedule: Schedule, name: ScheduleName) -> dict[str, Any]:
    values = (schedule.steps, schedule.evaluate_every, schedule.learning_rate)
    return dict(zip(SCHEDULES[name], values, strict=True))
