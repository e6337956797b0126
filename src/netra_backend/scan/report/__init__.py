"""The forms in which findings are told: one module each."""
