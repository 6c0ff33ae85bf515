"""Workers whose steps paint nothing: each waits as long as it is told, and leaves the picture of the step
before. A training writes checkpoints, and a LoRA that fits. All else is the product's own.
"""
