"""Statistics of features as pure tensor functions; each is differentiable."""
