"""Export of finished runs: ONNX graphs or a program of torch.export, checked and described."""
