"""Dagster's side of the pipeline: partitions, assets, checks, jobs, schedules, sensors and the in-process runner.

Dagster is imported here and in ``finops_pipeline.definitions``, nowhere else. These know nothing of it: ``day_steps``,
``analysis_steps`` and ``month_steps`` (what a partition is made of), ``context`` (what these get and give), ``mailing``
(who gets which mail), ``dry_run``, ``periods``, ``continuation`` and ``looking_back`` (what a run covers), and
``run_report`` (what the runner is asked for and tells).
"""
