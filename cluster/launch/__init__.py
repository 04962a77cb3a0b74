"""Launch files: one typed description of a cluster becomes the files of `ray up` (AWS, GCP) and of KubeRay."""
