"""The HTTP side of a node: requests in, answers out; what they mean is said by rooms below."""
