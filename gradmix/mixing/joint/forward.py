"""The front door of the joint forward pass."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import disable_saved_tensors_hooks
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from gradmix.mixing.joint.operations import BatchNorm, Convolution, Linear, Output, PartParameter
from gradmix.mixing.joint.recording import Recording
from gradmix.mixing.joint.refuse import (
    HOOKED,
    named_parameters,
    refuse_inputs,
    refuse_modules,
    refuse_unrecorded,
)


def forward_together(
    function: Callable[..., Tensor], inputs: Sequence[Tensor], *arguments: Any, **options: Any
) -> list[Tensor]:
    """Compute ``[function(x) for x in inputs]`` as one batch, for mixers that need each input's gradient apart.

    Give losses of the outputs to a mixer as usual; it back-propagates all of them in one pass, in which only the
    parameters' gradients are taken input by input. The gradients are those of separate forward passes, up to the
    order of summation; batch normalisation takes each input's own statistics. A plain ``loss.backward()`` works as
    well::

        features = forward_together(net.backbone, [x1, x2, target_x])
        losses = [cross_entropy(head(f), y) for head, f, y in zip(heads, features, labels)]
        mixer.backward(losses[:-1], losses[-1])

    Args:
        function: a module, or a method of one; maps (N, ...) to (N, ...), each image independently of the others
            but for batch normalisation. Its parameters are used by convolutions, linear maps, and batch, instance,
            layer, group and RMS normalisation.
        inputs: one tensor per domain, (n_i, ...), alike but for n_i; none requires a gradient.
        arguments: handed to the function.
        options: handed to the function.

    Returns:
        The outputs, one per input.

    Raises:
        TypeError: if the function is neither.
        ValueError: if there is no input, the output has no row per image, or the graph behind it holds what a joint
            pass cannot keep apart: a parameter in an operation that is not in the list above, or with a hook;
            a gradient for an input; torchscript; activation checkpointing (run each input by itself then).

    Random operations (dropout) draw once for the joint batch, so their numbers differ from separate passes'.
    """
    module = function if isinstance(function, nn.Module) else getattr(function, "__self__", None)
    if not isinstance(module, nn.Module):
        raise TypeError(f"expected a module or a method of one, but got {function!r}")
    if not inputs:
        raise ValueError("forward_together needs at least one input, but got none")
    anchor = torch.zeros((), device=inputs[0].device, requires_grad=True)
    recording = Recording([len(x) for x in inputs], anchor)
    refuse_modules(module)
    apart = _Apart(module, recording)
    with_gradients = torch.is_grad_enabled()
    if with_gradients:
        refuse_inputs(inputs)
    try:
        with disable_saved_tensors_hooks(HOOKED) if with_gradients else nullcontext(), apart:
            output = function(torch.cat(list(inputs)), *arguments, **options)
    except RuntimeError as error:
        raise (ValueError(HOOKED) if HOOKED in str(error) else error) from error
    images = sum(recording.sizes)
    if not isinstance(output, Tensor) or output.dim() == 0 or len(output) != images:
        shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        raise ValueError(
            f"the function must give a row for each of the {images} images, but gave {shape}"
        )
    parts = output.split(recording.sizes)
    if not output.requires_grad:
        return list(parts)
    refuse_unrecorded(output, recording, apart.names, apart.hidden)
    recording.output = output
    return [Output.apply(own, recording, part) for part, own in enumerate(parts)]


class _Apart(TorchFunctionMode):
    """Replaces operations that use the module's parameters by those of a joint pass.

    It lets unknown operations pass; `refuse_unrecorded` sees them in the graph.
    """

    def __init__(self, module: nn.Module, recording: Recording) -> None:
        super().__init__()
        self.names = named_parameters(module)
        self.hidden: list[str] = []
        self._counters = {
            id(m.running_mean): m.num_batches_tracked
            for m in module.modules()
            if isinstance(m, nn.modules.batchnorm._NormBase) and m.running_mean is not None
        }
        self._recording = recording
        self._with_gradients = torch.is_grad_enabled()
        # Another mode around this one may have a batch normalisation of its own (`SynchronisedStatistics`).
        self._alone = torch._C._len_torch_function_stack() == 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Replace the operations that use parameters, and those that look at all images of an input."""
        kwargs = kwargs or {}
        used = [a for a in [*args, *kwargs.values()] if id(a) in self.names]
        if used and self._with_gradients and not torch.is_grad_enabled():
            self.hidden.append(self.names[id(used[0])])
        # Padding by name is left to torch, part by part.
        by_name = any(isinstance(value, str) for value in [*args, *kwargs.values()])
        if used and func in _CONVOLUTIONS and not by_name:
            return self._convolution(*args, **kwargs)
        if used and func is functional.linear:
            return self._linear(*args, **kwargs)
        if func is functional.batch_norm and self._alone:
            return self._batch_norm(*args, **kwargs)
        if func in _WITH_STATISTICS or (used and func in _BY_PART):
            return self._by_part(func, *args, **kwargs)
        return func(*args, **kwargs)

    def _convolution(
        self,
        input: Tensor,  # noqa: A002 torch's own name
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        size = weight.dim() - 2
        stride, padding, dilation = (_each(value, size) for value in (stride, padding, dilation))
        self._record(input, weight, bias)
        x, precision = _cast(input)
        with precision:
            out: Tensor = Convolution.apply(
                x, weight, bias, self._recording.anchor, self._recording,
                stride, padding, dilation, groups,
            )  # fmt: skip
        return out

    def _linear(
        self,
        input: Tensor,  # noqa: A002
        weight: Tensor,
        bias: Tensor | None = None,
    ) -> Tensor:
        self._record(input, weight, bias)
        x, precision = _cast(input)
        with precision:
            out: Tensor = Linear.apply(x, weight, bias, self._recording.anchor, self._recording)
        return out

    def _batch_norm(
        self,
        input: Tensor,  # noqa: A002
        running_mean: Tensor | None,
        running_var: Tensor | None,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        training: bool = False,
        momentum: float = 0.1,
        eps: float = 1e-5,
    ) -> Tensor:
        self._record(input, weight, bias)
        if training:
            if min(self._recording.sizes) * input[0, 0].numel() == 1:
                raise ValueError(
                    "batch normalisation needs more than one value per channel, but an input holds a single image"
                )
            self._count(running_mean)
        out: Tensor = BatchNorm.apply(
            input, weight, bias, self._recording.anchor, self._recording,
            (running_mean, running_var), training, momentum, eps,
        )  # fmt: skip
        return out

    def _count(self, running_mean: Tensor | None) -> None:
        # Each part counts as a batch, as in separate passes; the module has counted one.
        if (counter := self._counters.get(id(running_mean))) is not None:
            counter += len(self._recording.sizes) - 1

    def _by_part(
        self,
        func: Callable[..., Tensor],
        input: Tensor,  # noqa: A002
        *args: Any,
        **kwargs: Any,
    ) -> Tensor:
        """Run the operation part by part, in their order, as separate forward passes do."""
        self._check(input)
        recording = self._recording
        if func is functional.batch_norm and kwargs["training"]:
            self._count(args[0])

        def own(value: Any, part: int) -> Any:
            if id(value) not in self.names or not torch.is_grad_enabled():
                return value
            recording.parameters[value] = None
            return PartParameter.apply(recording.anchor, value, recording, part)

        outputs = []
        for part, own_x in enumerate(input.split(recording.sizes)):
            named = {name: own(value, part) for name, value in kwargs.items()}
            outputs.append(func(own_x, *(own(value, part) for value in args), **named))
        return torch.cat(outputs)

    def _record(self, x: Tensor, *parameters: Any) -> None:
        self._check(x)
        self._recording.parameters |= dict.fromkeys(p for p in parameters if id(p) in self.names)

    def _check(self, x: Tensor) -> None:
        images = sum(self._recording.sizes)
        if len(x) != images:
            raise ValueError(
                f"an operation with parameters got {len(x)} rows, but the inputs hold {images} images; "
                f"the first dimension must be that of the images throughout the module"
            )


_CONVOLUTIONS = {functional.conv1d, functional.conv2d, functional.conv3d}
_WITH_STATISTICS = {
    functional.batch_norm,
    functional.instance_norm,
    torch.batch_norm,
    torch.instance_norm,
}
_BY_PART = {*_CONVOLUTIONS, functional.layer_norm, functional.group_norm, functional.rms_norm}


def _each(value: Any, dimensions: int) -> list[int]:
    return [value] * dimensions if isinstance(value, int) else list(value)


def _cast(x: Tensor) -> tuple[Tensor, AbstractContextManager[Any]]:
    """Cast to autocast's precision where it is on, with a context without it, for an operation that casts itself."""
    kind = x.device.type
    if not torch.amp.is_autocast_available(kind) or not torch.is_autocast_enabled(kind):
        return x, nullcontext()
    return x.to(torch.get_autocast_dtype(kind)), torch.autocast(kind, enabled=False)
