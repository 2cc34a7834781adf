"""Which pods this node has, and what they are called. Knows Kubernetes' shapes; knows no proxy."""
