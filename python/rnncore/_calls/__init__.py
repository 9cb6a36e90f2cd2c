"""The methods that run a network: outputs, losses, gradients, and inference step by step."""
