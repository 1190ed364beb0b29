"""Run exported models. Needs NumPy, Pillow and onnxruntime only, no torch.

from fairexit import runtime

model = runtime.load("exports/me")
answers = model(["a.jpg", "b.png"])
answers.prediction, answers.exit
"""

from fairexit.runtime.model import Answers, Model, load

__all__ = ["Answers", "Model", "load"]
