"""Dagster's side of the pipeline: partitions, assets, checks, jobs, schedules, sensors and the in-process runner.

Dagster is imported here and in ``finops_pipeline.definitions``, nowhere else. What a partition is made of stands in
``steps``, what days and months a run covers in ``periods`` and ``continuation``; those three know nothing of Dagster.
"""
