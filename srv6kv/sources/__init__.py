"""Where Kubernetes objects come from: a directory of manifests, or an API server."""
