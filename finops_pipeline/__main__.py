"""``python -m finops_pipeline``: the same as ``finops``."""

from finops_pipeline.cli import main

if __name__ == "__main__":
    main(prog_name="finops")
