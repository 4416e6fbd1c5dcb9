"""The configuration's sections with their keys, types, ranges and defaults."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    WrapValidator,
    create_model,
)

from gradmix.config.types import (
    AsList,
    BelowOne,
    Count,
    Distinct,
    Float,
    Name,
    Natural,
    NonNegative,
    Pixels,
    Positive,
    Section,
    Share,
    Text,
    nothing_is_empty,
    shown,
)
from gradmix.methods.mixers import MIXERS
from gradmix.terms.registry import TERMS
from gradmix.training.settings import Forward, Pace, Precision, Schedule


class Image(Section):
    """Size that the images of all domains are brought to, in pixels, and what of them the network sees."""

    height: Pixels = 32
    width: Pixels = 32
    crop: Pixels | None = None
    flip: bool = False


class Target(Section):
    """The target domain and how its images are parted."""

    domain: Name
    test_domain: Name | None = None
    test_per_class: Count | None = None
    hyper_validation_per_class: Count


def _weights(value: str) -> str:
    if value in ("imagenet", "none") or value.endswith((".pth", ".safetensors")):
        return value
    raise ValueError(
        f"must be imagenet, none, or the path of a .pth or .safetensors file, but is {shown(value)}"
    )


class Network(Section):
    """The network that is trained; which keys a network takes, `gradmix.nets.registry` says."""

    name: Literal["convnet", "resnet18"] = "convnet"
    weights: Annotated[Text, AfterValidator(_weights)] = "imagenet"
    width: Count = 64
    hidden: Count = 128
    norm_statistics: Literal["shared", "per_domain"] = "shared"
    normalise: Literal["convolutions", "all"] = "convolutions"
    head: Literal["linear", "cosine"] = "linear"
    temperature: Positive = 0.05


def _forward(value: Any) -> Any:
    if value == "streamed":
        raise ValueError(
            "streamed is gone: it cost more time than separate passes, and no less memory on networks with "
            "convolutions; use together (one joint pass) or separate"
        )
    return value


class Training(Section):
    """The training loop."""

    steps: Count = 1000
    evaluate_every: Count = 100
    batch_size: Count = 64
    target_batch_size: Count = 128
    unlabelled_batch_size: Count = 64
    learning_rate: Positive = 0.05
    momentum: BelowOne = 0.9
    weight_decay: NonNegative = Schedule.weight_decay
    precision: Precision = Schedule.precision
    forward: Annotated[Forward, BeforeValidator(_forward)] = Schedule.forward
    target_only_steps: Count = 200
    target_only_evaluate_every: Count = 10
    fine_tune_steps: Count = 2000
    fine_tune_evaluate_every: Count = 20
    fine_tune_learning_rate: Positive = 0.005
    adam_learning_rate: Positive = 0.001
    selection_per_class: Count | Literal["labels_per_class"] | None = None


class GradMix(Section):
    """How source gradients are mixed."""

    beta: Positive = 10.0
    gamma: Float = 0.6
    rho: Literal["sum", "mean", "scaled"] = "scaled"
    solver: Literal["exact", "slsqp", "slsqp_layerwise"] = "exact"
    eta_on: Literal["lr", "grad"] = "lr"
    eta_on_heads: bool | None = None
    last_layer: Literal["H0", "H1", "H2"] = "H1"
    layers: Literal["module", "tensor"] = "module"
    average: BelowOne = 0.0


class Grid(Section):
    """The models that label the unlabelled images are the best of beta x gamma."""

    beta: Annotated[tuple[Positive, ...], AsList, Field(min_length=1), Distinct] = (5.0, 10.0)
    gamma: Annotated[tuple[Float, ...], AsList, Field(min_length=1), Distinct] = (0.0, 0.3, 0.6)
    runs_per_job: Count = 54
    evaluate_at: Annotated[tuple[Count, ...], AsList, Distinct] = ()


class Sweep(Section):
    """Numbers of models and thresholds whose labels are compared with the truth, to read and not to use."""

    models: Annotated[tuple[Count, ...], AsList, Distinct] = ()
    thresholds: Annotated[tuple[BelowOne, ...], AsList, Distinct] = ()


class PseudoLabels(Section):
    """How unlabelled images get labels."""

    models: Count = 3
    threshold: BelowOne = 0.8
    enlarge_to: Count = 100
    sweep: Sweep = Sweep()


def _as_given(value: Any, checked: Any) -> Any:
    number = checked(value)
    return value if isinstance(value, int) else number


def _as_written(kind: Any) -> Any:
    """Leave whole numbers whole: to Snakemake 3 and 3.0 are different settings."""
    return Annotated[kind, WrapValidator(_as_given), PlainSerializer(lambda number: number)]


_WEIGHT: Any = _as_written(NonNegative)
_KINDS: dict[str, Any] = {
    "positive": _as_written(Positive),
    "non_negative": _as_written(NonNegative),
    "below_one": _as_written(BelowOne),
    "share": _as_written(Share),
    "count": Count,
    "natural": Natural,
    "flag": bool,
    "weights": dict[Text, _WEIGHT],
}


def _options_of(part: str) -> type[Section]:
    """A section for the options of a mixer or term."""
    takes = MIXERS[part].takes if part in MIXERS else TERMS[part].takes
    fields: dict[str, Any] = {
        name: (
            _KINDS[option.takes] if isinstance(option.takes, str) else Literal[option.takes],
            option.default,
        )
        for name, option in takes.items()
    }
    return create_model(part, __base__=Section, __doc__=f"Options of {part}.", **fields)


_PARTS = {part: _options_of(part) for part in (*MIXERS, *TERMS)}
_OPTIONS: Any = {part: (kind | None, None) for part, kind in _PARTS.items() if kind.model_fields}
_OfParts: Any = create_model("_OfParts", __base__=Section, **_OPTIONS)


class Options(_OfParts):
    """Constants of mixers and terms, by part."""


class Overrides(Section):
    """Settings of one method, or of one of its candidates, over the experiment's own."""

    network: Network = Network()
    training: Training = Training()
    gradmix: GradMix = GradMix()
    options: Options = Options()

    def overrides(self, section: str) -> dict[str, Any]:
        """List the keys of a section that the configuration sets here, with their values."""
        values: Section = getattr(self, section)
        return values.model_dump(mode="json", exclude_unset=True)


Candidates = Annotated[
    dict[Name, Annotated[Overrides, BeforeValidator(nothing_is_empty)]],
    BeforeValidator(nothing_is_empty),
]


class Method(Overrides):
    """A row of the tables: a recipe, parts added to it, and settings of its own."""

    recipe: Name | None = None
    title: Text | None = None
    mixer: Name | None = None
    terms: Annotated[tuple[Name, ...], AsList, Distinct] = ()
    sources: Annotated[tuple[Name, ...], AsList, Distinct] = ()
    pseudo_labels: PseudoLabels = PseudoLabels()
    candidates: Candidates = Field(default={})


class Tuning(Section):
    """Settings that methods may try; their networks are compared on H, and the best is kept."""

    budget: Count = 1
    candidates: Candidates = Field(default={})


class Condition(Section):
    """Other sources for the same methods; one condition is the experiment's own sources."""

    title: Text
    sources: Annotated[tuple[Name, ...], AsList, Field(min_length=1), Distinct]
    labels_per_class: Annotated[tuple[Count, ...], AsList, Distinct] = ()
    methods: Annotated[tuple[Name, ...], AsList, Distinct] = ()


Methods = dict[Name, Annotated[Method, BeforeValidator(nothing_is_empty)]]


class Ablation(Section):
    """Methods compared with each other in a table and a figure of their own; the first is the reference."""

    title: Text
    labels_per_class: Annotated[tuple[Count, ...], AsList, Distinct] = ()
    methods: Annotated[Methods, Field(min_length=2)]


class Resources(Section):
    """What a training job asks of the machine; a change reruns nothing.

    Checkpoints: one is written ``checkpoint_seconds`` after the last, or ``checkpoint_steps`` after it if that is set.
    """

    threads: Count = 1
    memory_mb: Count = 4000
    runtime_minutes: Count = 120
    gpu: Natural = 0
    gpu_slots: Count = 1
    draws_per_job: Count = 1
    models_at_once: Count = 1
    methods_per_evaluation: Count = 1
    figures_per_job: Count = 1
    checkpoint_seconds: Positive = Pace.seconds
    checkpoint_steps: Count | None = Pace.steps
    extraction_threads: Count = 4
