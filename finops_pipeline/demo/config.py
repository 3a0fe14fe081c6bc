"""The demo's ``finops.yaml``, with comments for those who read a config for the first time."""

from finops_pipeline.demo.bedrock_logs import BedrockLogs
from finops_pipeline.demo.company import TEAMS
from finops_pipeline.demo.litellm_logs import LitellmLogs
from finops_pipeline.demo.record_logs import RecordLogs
from finops_pipeline.demo.traffic import FIRST_DAY

_CONFIG = """\
# The demo's configuration. `finops init` writes one for your own logs; `finops check` says whether one is right.
# Relative paths resolve against the folder of this file. Credentials never stand here: they come from the environment.

# Where all tables go: Parquet in Hive-style folders, for Athena, DuckDB, Spark, Polars or pandas.
lake: ./lake

# Days before this one are not looked at.
start_date: {start}

# Where the raw usage logs lie. They are only ever read.
sources:
  - name: bedrock                 # Amazon Bedrock's own model invocation logs: gzip, an object an hour
    format: bedrock
    uri: s3://{bucket}/{bedrock}
  - name: gateway                 # a LiteLLM proxy: one object a request
    format: litellm
    uri: s3://{bucket}/{gateway}
    cost_basis: contracted        # charge our own price; `reported` would charge what the proxy wrote
  - name: internal                # services that write a record a call: JSON lines, CSV, Parquet
    format: record
    uri: s3://{bucket}/{internal}

# Teams by the name that the logs give them. Calls that name none are charged to nobody: the statement's "unallocated".
teams:
{teams}

# Limits on what a scope may cost in a calendar month, in USD. Owner and finance are told at 80 % and at the limit.
budgets:
  - name: engineering
    scope: {{team: engineering}}
    limit: 10600                  # September stays below it; October passes it on the 30th
  - name: legal
    scope: {{team: legal}}
    limit: 6500                   # 80 % of it are reached in October, on the 30th
  - name: support
    scope: {{team: support}}
    limit: 2000
  - name: marketing
    scope: {{team: marketing}}
    limit: 2500
  - name: market research on Gemini
    scope: {{project: market-research, model: gemini-2.5-pro}}
    limit: 3500                   # any scope will do: team, project, model, provider, cost centre, tag

# Who owns calls that name no team, or the wrong one; the first rule that matches wins. Try this one: it takes the
# notebook calls of one person off the "unallocated" line. Then `finops demo` again.
# ownership:
#   - name: notebooks-of-person-0
#     from: {start}
#     match: {{user_id: person-0@example.com}}
#     set: {{team: analytics, project: notebooks}}

# Your negotiated prices as CSV files; without any, the catalogue's list prices hold.
prices: []

# The month's statement and who gets it.
reports:
  from: finops@example.com
  recipients: [finance@example.com]

# The demo sends no mail: it leaves .eml files here, which any mail program opens.
mail:
  transport: outbox
  path: ./outbox
"""


def demo_config(bucket: str) -> str:
    """The text of the demo's ``finops.yaml``, which reads the sample logs in ``bucket``."""
    teams = "\n".join(
        f"  {t.name}: {{owner: {t.owner}, cost_center: {t.cost_center}, email: {t.email}}}" for t in TEAMS
    )
    return _CONFIG.format(
        bucket=bucket,
        start=FIRST_DAY,
        teams=teams,
        bedrock=BedrockLogs.prefix,
        gateway=LitellmLogs.prefix,
        internal=RecordLogs.prefix,
    )
