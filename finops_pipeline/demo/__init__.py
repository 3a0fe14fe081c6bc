"""The demo: an S3 server on loopback, deterministic sample logs of a made-up company, and the config that reads them.

Nothing outside this package imports it, save the ``finops demo`` command.
"""
