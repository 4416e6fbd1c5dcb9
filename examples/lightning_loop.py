"""GradMix in Lightning: manual optimisation, one batch of every source per step."""

import lightning
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from gradmix import ConvNet, GradMix, layers_of


class Mixed(lightning.LightningModule):
    """A network whose sources are weighted by their agreement with a few target images."""

    def __init__(self, x_target: torch.Tensor, y_target: torch.Tensor) -> None:
        super().__init__()
        self.automatic_optimization = False  # the mixer goes backward
        self.net = ConvNet({"digits_5_9": 5, "digits_0_4": 5}, image_size=(8, 8), width=16)
        self.mixer = GradMix(layers_of(self.net.backbone), beta=10.0, gamma=0.6)
        self.register_buffer("x_target", x_target)
        self.register_buffer("y_target", y_target)

    def configure_optimizers(self) -> torch.optim.Optimizer:  # noqa: D102
        return torch.optim.SGD(self.net.parameters(), lr=0.05, momentum=0.9)

    def training_step(self, batches: dict[str, list[torch.Tensor]]) -> None:  # noqa: D102
        losses = [cross_entropy(self.net(x, space), y) for space, (x, y) in batches.items()]
        target_loss = cross_entropy(self.net(self.x_target, "digits_5_9"), self.y_target)
        optimizer = self.optimizers()
        optimizer.zero_grad()
        mixed = self.mixer.backward(losses, target_loss)  # writes .grad; no manual_backward
        self.mixer.step(optimizer)  # no optimizer.step(): this one knows eta
        self.log("rho", mixed.rho)

    def test_step(self, batch: list[torch.Tensor]) -> None:  # noqa: D102
        x, y = batch
        self.log("accuracy", (self.net(x, "digits_5_9").argmax(1) == y).float().mean())


lightning.seed_everything(0)
digits = load_digits()
images = torch.tensor(digits.images / 8 - 1, dtype=torch.float32)[:, None].repeat(1, 3, 1, 1)
labels, late = torch.tensor(digits.target), torch.tensor(digits.target) >= 5
few = torch.cat([(labels == digit).nonzero()[:3, 0] for digit in range(5, 10)])
sources = {
    "digits_5_9": TensorDataset((images + torch.randn_like(images))[late], labels[late] - 5),
    "digits_0_4": TensorDataset(images[~late], labels[~late]),
}
loaders = {name: DataLoader(part, 32, shuffle=True) for name, part in sources.items()}
rest = late.index_fill(0, few, False)
test = DataLoader(TensorDataset(images[rest], labels[rest] - 5), 500)

trainer = lightning.Trainer(max_epochs=4, logger=False, enable_checkpointing=False)
module = Mixed(images[few], labels[few] - 5)
trainer.fit(module, loaders)
(scores,) = trainer.test(module, test, verbose=False)
print(f"accuracy {scores['accuracy']:.3f}")
