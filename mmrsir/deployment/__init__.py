"""Models for other programs: ONNX and torch.export, each checked against torch."""
