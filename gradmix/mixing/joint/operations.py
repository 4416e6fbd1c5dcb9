"""The operations of a joint forward pass: one call for all parts, and parameters' gradients part by part.

Error signals are those of one large batch; only the last product of back-propagation, an error signal with a layer's
input, splits by part. In a plain backward pass each is an ordinary operation.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from gradmix.mixing.joint.recording import Recording

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
        """Compute the outputs of all parts."""
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        none = [0] * len(stride)
        ctx.how = (stride, padding, dilation, False, none, groups)
        low = weight.to(x.dtype)
        ctx.save_for_backward(x, low)
        low_bias = None if bias is None else bias.to(x.dtype)
        return torch.convolution(x, low, low_bias, *ctx.how)

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        """Give the inputs' error signals; parameters' gradients as the recording wants them."""
        x, weight = ctx.saved_tensors
        recording: Recording = ctx.recording
        sizes = [weight.shape[0]]
        trains = _trains(ctx.weight)
        trains_bias = _trains(ctx.bias)

        def gradients(errors: Tensor, inputs: Tensor, *wanted: bool) -> list[Tensor | None]:
            return list(
                torch.ops.aten.convolution_backward(
                    errors, inputs, weight, sizes, *ctx.how, list(wanted)
                )
            )

        plain = not recording.apart
        grad_x, grad_weight, grad_bias = gradients(
            error, x, ctx.needs_input_grad[0], plain and trains, plain and trains_bias
        )
        if recording.apart:
            pairs = zip(error.split(recording.sizes), x.split(recording.sizes), strict=True)
            parts = [gradients(e, inputs, False, trains, trains_bias) for e, inputs in pairs]
            if trains:
                recording.add(ctx.weight, [part[1] for part in parts])
            if trains_bias:
                recording.add(ctx.bias, [part[2] for part in parts])
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
        """Compute the outputs of all parts."""
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        low = weight.to(x.dtype)
        ctx.save_for_backward(x, low)
        return nn.functional.linear(x, low, None if bias is None else bias.to(x.dtype))

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        """Give the inputs' error signals; parameters' gradients as the recording wants them."""
        x, weight = ctx.saved_tensors
        recording: Recording = ctx.recording
        grad_x = error @ weight if ctx.needs_input_grad[0] else None
        each = x[0].numel() // x.shape[-1]  # rows of an image: 1, or the positions of a sequence
        counts = [size * each for size in recording.sizes]
        inputs, errors = x.reshape(-1, x.shape[-1]), error.reshape(-1, error.shape[-1])
        trains = _trains(ctx.weight)
        trains_bias = _trains(ctx.bias)
        grad_weight = grad_bias = None
        if not recording.apart:
            grad_weight = errors.mT @ inputs if trains else None
            grad_bias = errors.sum(dim=0) if trains_bias else None
        else:
            split_errors = errors.split(counts)
            if trains and _few_rows(len(inputs), len(counts), *weight.shape):
                recording.add_factors(ctx.weight, inputs, errors, counts)
            elif trains:
                pairs = zip(split_errors, inputs.split(counts), strict=True)
                recording.add(ctx.weight, [e.mT @ rows for e, rows in pairs])
            if trains_bias:
                recording.add(ctx.bias, [e.sum(dim=0) for e in split_errors])
        return grad_x, grad_weight, grad_bias, None, None


class BatchNorm(Function):
    """Batch normalisation of each part on its own, in their order, as in separate forward passes.

    One output for all parts, which saves the copy that joining theirs would be.
    """

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
        """Normalise part by part."""
        ctx.recording, ctx.weight, ctx.bias = recording, weight, bias
        ctx.how = running, training, epsilon
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
        """Give the inputs' error signals; parameters' gradients as the recording wants them."""
        x, *saved = ctx.saved_tensors
        recording: Recording = ctx.recording
        running, training, epsilon = ctx.how
        wanted = [True, _trains(ctx.weight), _trains(ctx.bias)]
        pieces = x.split(recording.sizes), error.split(recording.sizes), saved[::2], saved[1::2]
        by_part: list[Sequence[Tensor]] = [
            torch.ops.aten.native_batch_norm_backward(
                e, part, ctx.weight, *running, mean, inverse, training, epsilon, wanted
            )
            for part, e, mean, inverse in zip(*pieces, strict=True)
        ]
        grads: list[Tensor | None] = [None, None]
        for place, parameter in enumerate((ctx.weight, ctx.bias)):
            parts = [part[1 + place] for part in by_part]
            if not wanted[1 + place]:
                continue
            if recording.apart:
                recording.add(parameter, parts)
            else:
                grads[place] = torch.stack(parts).sum(dim=0)
        grad_x = torch.cat([part[0] for part in by_part]) if ctx.needs_input_grad[0] else None
        return grad_x, *grads, *[None] * 6


class PartParameter(Function):
    """A parameter as one part of the pass uses it."""

    @staticmethod
    def forward(
        ctx: Any, anchor: Tensor, parameter: Tensor, recording: Recording, part: int
    ) -> Tensor:
        """Give a view of the parameter, so that each part has its own node."""
        ctx.recording, ctx.parameter, ctx.part = recording, parameter, part
        return parameter.view_as(parameter)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Hand this part's gradient to the recording, or on in a plain backward pass."""
        recording: Recording = ctx.recording
        if not recording.apart:
            return None, gradient, None, None
        parts: list[Tensor | None] = [None] * len(recording.sizes)
        parts[ctx.part] = gradient
        recording.add(ctx.parameter, parts)
        return None, None, None, None


class Output(Function):
    """The output of one part; a mixer finds the recording here, in the graph of a loss.

    A node for each: with one for all, a hook on one part's output would be called for other parts' losses, too.
    """

    @staticmethod
    def forward(ctx: Any, output: Tensor, recording: Recording, part: int) -> Tensor:
        """Copy, so that the output may be changed in place."""
        ctx.joint, ctx.part = recording, part
        return output.clone()

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:
        """Pass the error signal on, in a plain backward pass."""
        return error, None, None


def _trains(parameter: Tensor | None) -> bool:
    return parameter is not None and parameter.requires_grad


def _few_rows(rows: int, parts: int, outputs: int, inputs: int) -> bool:
    """Whether inner products of inputs and of errors are fewer operations than those of the gradients."""
    return rows**2 * (inputs + outputs) < parts**2 * inputs * outputs
