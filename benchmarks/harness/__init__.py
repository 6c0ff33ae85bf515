"""What tests and benchmarks share: real services to run against, small models, catalogues, photographs."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
