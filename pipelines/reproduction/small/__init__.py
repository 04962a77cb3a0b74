"""The miniature of a study: the same grid with bundled models, tasks of the closed world and tiny trainings."""
