"""A Compute service for one machine: what the unmodified SDK and endpoint of Globus Compute need of the cloud service.

It is a program of its own, which knows nothing of the tests: ``python -m compute_service FOLDER``.
"""
