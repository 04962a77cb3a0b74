"""The closed world of verifiable instructions: every instruction can be read back, answered and graded exactly."""

from bundled.world.datasets import WorldTask, heldout, seeds
from bundled.world.evolution import METHODS, evolve
from bundled.world.evolution import is_valid as is_valid_evolution
from bundled.world.grade import correct, level_of

WORLD_VERSION = 1
__all__ = [
    "METHODS",
    "WORLD_VERSION",
    "WorldTask",
    "correct",
    "evolve",
    "heldout",
    "is_valid_evolution",
    "level_of",
    "seeds",
]
