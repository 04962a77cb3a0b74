"""The closed world of verifiable instructions: every instruction can be read back, answered and graded exactly."""

from pipelines.world.datasets import WorldTask, heldout, seeds
from pipelines.world.evolution import METHODS, evolve
from pipelines.world.evolution import is_valid as is_valid_evolution
from pipelines.world.grade import correct, kind_of_task, level_of

WORLD_VERSION = 1

__all__ = [
    "METHODS",
    "WORLD_VERSION",
    "WorldTask",
    "correct",
    "evolve",
    "heldout",
    "is_valid_evolution",
    "kind_of_task",
    "level_of",
    "seeds",
]
