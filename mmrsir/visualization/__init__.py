"""Pictures of runs and of what the model sees."""
