"""Studies: several methods pretrained and evaluated with equal care, and what their comparison says."""
