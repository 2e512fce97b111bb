"""Data sets: shapes that we generate, handwritten digits, and converters of distributed ones."""
