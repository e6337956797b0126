"""Speed and memory: programs that print figures and ratios, never a verdict. See README.md."""
