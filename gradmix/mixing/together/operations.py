"""Operations of a joint forward pass: computed once for all parts, their parameters' gradients part by part.

Error signals are those of one large batch; only the last product of back-propagation, an error signal with a layer's
input, splits by part. Each operation is an ordinary one for a plain backward pass.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from gradmix.mixing.together.factor_rows import FactorRows
from gradmix.mixing.together.recording import Recording

_Ints = Sequence[int]


class Convolution(Function):
    """``torch.convolution`` of (N, channels, ...) inputs, not transposed."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        anchor: Tensor,
        recording: Recording,
        stride: _Ints,
        padding: _Ints,
        dilation: _Ints,
        groups: int,
    ) -> Tensor:
        """The outputs of all parts."""
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        none = [0] * len(stride)
        ctx.how = (stride, padding, dilation, False, none, groups)
        low = weight.to(x.dtype)
        ctx.save_for_backward(x, low)
        low_bias = None if bias is None else bias.to(x.dtype)
        return torch.convolution(x, low, low_bias, *ctx.how)

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        """Error signals of the inputs; the parameters' gradients as the recording wants them."""
        x, weight = ctx.saved_tensors
        recording: Recording = ctx.recording
        plain = recording.mode == "plain"
        sizes = [weight.shape[0]]
        trains = _trains(ctx.weight)
        trains_bias = _trains(ctx.bias)

        def gradients(errors: Tensor, inputs: Tensor, *wanted: bool) -> list[Tensor | None]:
            return list(
                torch.ops.aten.convolution_backward(
                    errors, inputs, weight, sizes, *ctx.how, list(wanted)
                )
            )

        with_weight, with_bias = plain and trains, plain and trains_bias
        grad_x, grad_weight, grad_bias = gradients(
            error, x, ctx.needs_input_grad[0], with_weight, with_bias
        )
        if recording.mode == "apart":
            pairs = zip(error.split(recording.sizes), x.split(recording.sizes), strict=True)
            parts = [gradients(e, inputs, False, trains, trains_bias) for e, inputs in pairs]
            if trains:
                recording.add_large(ctx.weight, [part[1] for part in parts])
            if trains_bias:
                recording.add(ctx.bias, [part[2] for part in parts])
        elif recording.mode == "mix" and (factors := recording.planned(ctx.weight)) is not None:
            scaled = _scaled(error, recording, factors)
            mixture = gradients(scaled, x, False, True, False)[1]
            assert mixture is not None
            recording.add_mixture(ctx.weight, mixture)
        return (grad_x, grad_weight, grad_bias, *[None] * 6)


class Linear(Function):
    """``torch.nn.functional.linear`` of (N, ..., in) inputs."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        anchor: Tensor,
        recording: Recording,
    ) -> Tensor:
        """The outputs of all parts."""
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        low = weight.to(x.dtype)
        ctx.save_for_backward(x, low)
        return nn.functional.linear(x, low, None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        """Error signals of the inputs; the parameters' gradients as the recording wants them."""
        x, weight = ctx.saved_tensors
        recording: Recording = ctx.recording
        grad_x = error @ weight if ctx.needs_input_grad[0] else None
        each = x[0].numel() // x.shape[-1]  # rows of an image: 1, or the positions of a sequence
        counts = [size * each for size in recording.sizes]
        inputs, errors = x.reshape(-1, x.shape[-1]), error.reshape(-1, error.shape[-1])
        trains = _trains(ctx.weight)
        trains_bias = _trains(ctx.bias)
        grad_weight = grad_bias = None
        if recording.mode == "plain":
            grad_weight = errors.mT @ inputs if trains else None
            grad_bias = errors.sum(dim=0) if trains_bias else None
        elif recording.mode == "apart":
            of_parts = errors.split(counts)
            if trains and _few_rows(len(inputs), len(counts), *weight.shape):
                recording.add_rows(ctx.weight, FactorRows(recording, inputs, errors, counts))
            elif trains:
                pairs = zip(of_parts, inputs.split(counts), strict=True)
                recording.add_large(ctx.weight, [e.mT @ rows for e, rows in pairs])
            if trains_bias:
                recording.add(ctx.bias, [e.sum(dim=0) for e in of_parts])
        elif (factors := recording.planned(ctx.weight)) is not None:
            scaled = _scaled(error, recording, factors).reshape(errors.shape)
            recording.add_mixture(ctx.weight, scaled.mT @ inputs)
        return grad_x, grad_weight, grad_bias, None, None


class BatchNorm(Function):
    """Batch normalisation of each part by itself, in their order, as by separate forward passes."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        anchor: Tensor,
        recording: Recording,
        running: tuple[Tensor | None, Tensor | None],
        training: bool,
        momentum: float,
        epsilon: float,
    ) -> Tensor:
        """The normalised parts."""
        ctx.recording, ctx.weight, ctx.bias, ctx.running = recording, weight, bias, running
        ctx.how = training, epsilon
        out = torch.empty_like(x)
        saved: list[Tensor] = []
        for part, place in zip(x.split(recording.sizes), out.split(recording.sizes), strict=True):
            # Statistics are those of the parameters' precision, as in torch's own.
            like = x if weight is None else weight
            mean, inverse = (torch.empty(0, dtype=like.dtype, device=x.device) for _ in range(2))
            torch.ops.aten.native_batch_norm.out(
                part, weight, bias, *running, training, momentum, epsilon,
                out=place, save_mean=mean, save_invstd=inverse,
            )  # fmt: skip
            saved += [mean, inverse]
        ctx.save_for_backward(x, *saved)
        return out

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        """Error signals of the inputs; the parameters' gradients as the recording wants them."""
        x, *saved = ctx.saved_tensors
        recording: Recording = ctx.recording
        training, epsilon = ctx.how
        trains = _trains(ctx.weight)
        trains_bias = _trains(ctx.bias)
        found: list[list[Tensor]] = []
        for index, (part, e) in enumerate(
            zip(x.split(recording.sizes), error.split(recording.sizes), strict=True)
        ):
            wanted = [True, trains, trains_bias]
            found.append(
                torch.ops.aten.native_batch_norm_backward(
                    e, part, ctx.weight, *ctx.running, *saved[2 * index : 2 * index + 2],
                    training, epsilon, wanted,
                )
            )  # fmt: skip
        grad_x = torch.cat([part[0] for part in found]) if ctx.needs_input_grad[0] else None
        grads: list[Tensor | None] = [None, None]
        for place, (parameter, wanted_) in enumerate(
            [(ctx.weight, trains), (ctx.bias, trains_bias)]
        ):
            if not wanted_:
                continue
            parts = [part[1 + place] for part in found]
            if recording.mode == "plain":
                grads[place] = torch.stack(parts).sum(dim=0)
            elif recording.mode == "apart":
                recording.add(parameter, parts)
        return grad_x, *grads, *[None] * 6


class OfPart(Function):
    """A parameter as one part of the pass uses it."""

    @staticmethod
    def forward(
        ctx: Any, parameter: Tensor, anchor: Tensor, recording: Recording, part: int
    ) -> Tensor:
        """The parameter."""
        ctx.recording, ctx.parameter, ctx.part = recording, parameter, part
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Its gradient from this part."""
        recording: Recording = ctx.recording
        if recording.mode == "plain":
            return gradient, None, None, None
        if recording.mode == "apart":
            parts: list[Tensor | None] = [None] * len(recording.sizes)
            parts[ctx.part] = gradient
            recording.add(ctx.parameter, parts)
        return None, None, None, None


class Parts(Function):
    """The output of the pass, part by part; a mixer finds the recording here, in the graph of a loss."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, recording: Recording) -> tuple[Tensor, ...]:
        """Copies, so that each may be changed in place."""
        ctx.recording = recording
        return tuple(part.clone() for part in output.split(recording.sizes))

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, ...]:
        """Of a plain backward pass."""
        return torch.cat(errors), None


def _trains(parameter: Tensor | None) -> bool:
    return parameter is not None and parameter.requires_grad


def _scaled(error: Tensor, recording: Recording, factors: Sequence[Tensor]) -> Tensor:
    """Each part's error signals times its loss's factor."""
    pairs = zip(error.split(recording.sizes), recording.factors_of_parts(factors), strict=True)
    return torch.cat([part * factor for part, factor in pairs])


def _few_rows(rows: int, parts: int, outputs: int, inputs: int) -> bool:
    """Whether inner products of inputs and of errors are fewer operations than those of the gradients."""
    return rows**2 * (inputs + outputs) < parts**2 * inputs * outputs
