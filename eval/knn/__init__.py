"""k-NN classification with frozen patch features inside boxes: a quick check without training."""
