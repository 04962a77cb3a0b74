"""Renders launch files for `ray up` (AWS, GCP) and KubeRay from a single typed description of a cluster."""
