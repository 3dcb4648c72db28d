"""The bench of the step split: it composes films of known boundaries, and measures who finds them at what
price."""
