"""Where Python that a model wrote is run: a process in namespaces of its own per job, believed in plain values only."""
