"""The training loop: sets on the device, batches, checkpoints to resume from, records."""
