"""Durable execution: the flows, the worker that runs them, and its client."""
