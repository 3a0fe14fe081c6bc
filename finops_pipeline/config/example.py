"""The commented ``finops.yaml`` that ``finops init`` writes.

Lines that start with ``# `` explain; lines that start with ``#`` and a key are that key with its default, or an example
of it where there is none. What a key means in full stands in the model.
"""

EXAMPLE = """\
# finops.yaml: where the usage logs lie, who pays, and what is made of them.
# `finops check` reads it and says what it finds; `finops run` does the work.
# Relative paths resolve against the folder of this file. Secrets have no place in it: credentials come from the
# environment (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL_S3, ... and FINOPS_FINGERPRINT_KEY).

# The folder of all tables: Parquet, a folder a day.
lake: ./lake

# First UTC day. Records before it are quarantined, and no day before it is run.
start_date: 2026-01-01

# Where raw usage logs lie. They are only ever read.
sources:
  - name: bedrock                      # name in tables and paths: a-z, 0-9 and _
    format: bedrock                    # bedrock, litellm or record
    uri: s3://my-logs/bedrock          # or a local folder; the region comes from the environment
    #cost_basis: contracted            # what is charged: contracted (our price) or reported (the cost in the log)
    #key_timezone: UTC                 # time zone of the dates and hours in the object keys
  #- name: gateway
  #  format: litellm
  #  uri: s3://my-logs/litellm
  #  cost_basis: reported
  #- name: internal
  #  format: record                    # your own logs: JSON lines, CSV or Parquet in one documented shape
  #  uri: ./internal-logs

# Teams, by the name that the logs give them.
teams:
  search:
    owner: Search lead                 # a person or role, as it should stand on the statement
    cost_center: CC-100                # who is charged in the books of finance
    email: search@example.com          # where the team's reports and alerts go

# Who owns which calls, where the logs say nothing or something else. The first rule that matches wins; all columns
# under `match` must have the given values: source, provider, service, account, api_key_id, principal, user_id,
# application, environment, raw_model, team, project.
#ownership:
#  - name: legacy-key                  # kept on each call that the rule decides
#    from: 2026-01-01                  # first UTC day on which the rule holds
#    match: {api_key_id: key-123}
#    set: {team: search, project: ranking}    # team, project, cost_center, environment

# Limits on what a scope may cost in a calendar month. Its team's e-mail and finance are told, once a threshold.
#budgets:
#  - name: search
#    scope: {team: search}             # team, project, model, provider, cost_center, tag (as name=value): all that
#                                      # are given must hold; {} is everything
#    period: month
#    limit: 5000                       # USD a period
#    warn_at: [0.8, 1.0]               # shares of the limit at which to tell
#    warn_at_forecast: [1.0]           # the same for what the month comes to at this rate; [] for none

# Your own prices, over those of the built-in catalogue: CSV files.
#prices: [contract-prices.csv]

# Models that the price book does not know by the name that the logs give them.
#model_aliases: {gpt-5-eu: gpt-5}

# The month's statement.
reports:
  from: finops@example.com             # sender of the mails
  recipients: [finance@example.com]    # finance: gets the whole statement
  #currency: USD

# How mail leaves: as .eml files in a folder, through a mail server, or through Amazon SES. Each mail leaves once:
# `finops deliver` says what became of it. The password of `user` is FINOPS_SMTP_PASSWORD in the environment.
#mail:
#  transport: outbox                   # outbox, smtp or ses
#  path: ./outbox                      # outbox: the folder
#  host:                               # smtp: the mail server, such as smtp.example.com
#  port: 587                           # smtp: 465 is TLS from the start
#  user:                               # smtp: who logs in, where the server asks for that
#  starttls: true                      # smtp: encrypt first; false only for relays that ask for no user
#  region:                             # ses: AWS region; by default that of the environment

# When Dagster's daemon runs the jobs, in UTC. `finops run` from cron needs close_day only.
#schedule:
#  nightly: 02:00
#  close_day: 3                        # day of the next month on which a month's statement is made
#  month_end: 06:00

# Bounds, and shares above which to warn.
#limits:
#  unpriced_share: 0.001               # tolerated share of unpriced tokens
#  cost_drift: 0.02                    # tolerated drift of our price against the log's
#  max_line_bytes: 33554432            # a longer line is quarantined
#  max_inflate_ratio: 200              # a compressed object that grows more is quarantined
#  memory_mb: 700                      # memory that mediation of a day aims to stay under

# What is made unreadable on the way in.
#privacy:
#  hash_user_ids: false                # store keyed hashes in place of user ids

# What is kept of a line that cannot be read: its place and hash; the line itself, prompts included, if you say so.
#quarantine:
#  keep_raw: false

# Days before yesterday that each nightly run looks at again, for logs that come late.
#late_days: 3

# Hours beyond a day's ends in whose object keys its records may lie.
#grace_hours: 2
"""
