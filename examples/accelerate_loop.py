"""GradMix with Accelerate, on one device or on several: `accelerate launch examples/accelerate_loop.py`."""

from contextlib import nullcontext

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from sklearn.datasets import load_digits
from torch import distributed
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from gradmix import ConvNet, GradMix, SynchronisedStatistics, layers_of

accelerator = Accelerator()
set_seed(0)  # the same weights and noise on all ranks
digits = load_digits()
images = torch.tensor(digits.images / 8 - 1, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
labels, late = torch.tensor(digits.target), torch.tensor(digits.target) >= 5
few = torch.cat([(labels == digit).nonzero()[:3, 0] for digit in range(5, 10)])
noisy = TensorDataset((images + torch.randn_like(images))[late], labels[late] - 5)
others = TensorDataset(images[~late], labels[~late])
device = accelerator.device
x_target, y_target = images[few].to(device), (labels[few] - 5).to(device)

# The network is not prepared: the mixer averages over the ranks itself, once.
net = ConvNet({"digits_5_9": 5, "digits_0_4": 5}, image_size=(8, 8), width=16).to(device)
world = distributed.group.WORLD if accelerator.num_processes > 1 else None
mixer = GradMix(layers_of(net.backbone), beta=10.0, gamma=0.6, process_group=world)
optimizer, *loaders = accelerator.prepare(
    torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9),
    *(DataLoader(part, 32, shuffle=True, drop_last=True) for part in (noisy, others)),
)

for _epoch in range(4):
    for (x_noisy, y_noisy), (x_others, y_others) in zip(*loaders, strict=False):
        with accelerator.autocast(), SynchronisedStatistics(world) if world else nullcontext():
            source_losses = [
                cross_entropy(net(x_noisy, "digits_5_9"), y_noisy),
                cross_entropy(net(x_others, "digits_0_4"), y_others),
            ]
            target_loss = cross_entropy(net(x_target, "digits_5_9"), y_target)
        optimizer.zero_grad()
        mixer.backward(source_losses, target_loss)  # in place of accelerator.backward
        mixer.step(optimizer)  # in place of optimizer.step()

rest = late.index_fill(0, few, False)
net.eval()
with torch.no_grad():
    right = net(images[rest].to(device), "digits_5_9").argmax(1).cpu() == labels[rest] - 5
accelerator.print(f"accuracy {right.float().mean():.3f}")
accelerator.end_training()
