"""What is learned and how: task, read-out and loss, rules, parameters, optimizers, the training loop, the check."""
