"""Previews of studies: a few seeds through every row-wise step, whose answers the later run does not ask for again."""
