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
    format: bedrock                    # bedrock, bedrock_batch, litellm, otel, openai, openai_batch, openai_usage,
                                       # anthropic, anthropic_batch, anthropic_usage, vertex, vertex_batch,
                                       # azure_apim, langfuse, cloudflare, record or mapped
    uri: s3://my-logs/bedrock          # or a local folder; the region comes from the environment
    #cost_basis: contracted            # what is charged: contracted (our price) or reported (the cost in the log)
    #key_timezone: UTC                 # time zone of the dates and hours in the object keys
    #prefix_block_chars: 2048          # characters of a block of the prompt's prefix hashes; 0 for none
    #prefix_block_tokens:              # input tokens that a block stands for; by default the prompt's share of its own
  #- name: gateway
  #  format: litellm
  #  uri: s3://my-logs/litellm
  #  cost_basis: reported
  #- name: internal
  #  format: record                    # your own logs: JSON lines, CSV or Parquet in one documented shape
  #  uri: ./internal-logs
  #- name: batches
  #  format: anthropic_batch
  #  uri: s3://my-logs/batches
  #  job_time: 2026-01-31T14:00:00Z    # when the jobs were made, where their logs do not say; else the objects' times
  #  job_model: claude-haiku-4-5       # their model, where their logs do not say
  #- name: kong
  #  format: mapped                    # JSON lines, CSV or Parquet of any shape: where each usage column stands in it
  #  uri: s3://my-logs/kong
  #  fields:                           # column: path, or path with unit, format, values; or one value for all records
  #    event_time: {path: $.started_at, format: epoch_ms}     # iso, epoch_s, epoch_ms, epoch_us, epoch_ns
  #    request_id: $.request.id        # keys with dots are quoted: $."request.id"
  #    provider: $.ai.proxy.meta.provider_name
  #    raw_model: $.ai.proxy.meta.response_model
  #    environment: {value: prod}
  #    tags: $.service.tags            # an object, or a list of key:value
  #    stream: {path: $.ai.proxy.meta.request_mode, values: {stream: true, oneshot: false}}
  #    status: $.response.status       # a status code, or a word; values: {'true': ok, 'false': error} for others
  #    input_tokens: $.ai.proxy.usage.prompt_tokens           # unit: tokens, k
  #    cache_read_tokens: $.ai.proxy.usage.prompt_tokens_details.cached_tokens
  #    output_tokens: $.ai.proxy.usage.completion_tokens
  #    reasoning_tokens: $.ai.proxy.usage.completion_tokens_details.reasoning_tokens
  #    tool_calls: $.ai.proxy.tools[*].name                   # a number, or how often a path with [*] matches
  #    latency_ms: {path: $.latencies.request, unit: ms}      # ms, s, us, ns
  #    reported_cost: {path: $.ai.proxy.usage.cost, unit: usd}    # usd, cents, microdollars
  #    tokens: inclusive               # input_tokens include those of the cache; exclusive: they do not
  #    reasoning: included             # output_tokens include reasoning_tokens; excluded: they do not
  #    absent: ['-']                   # texts that stand for nothing
  #    embedded: [$.ai.proxy.payload.request]    # values that are JSON written as a text: paths may lead through
  #    prompt: {messages: $.ai.proxy.payload.request.messages}    # for a keyed hash; nothing else of it is kept
  #    not_usage_without: [provider]   # columns that each model call has: a record that lacks one is none

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

# Your own prices, discounts and uplifts, over those of the built-in catalogue: CSV or YAML files. Days that are priced
# keep their prices: finops run --reprice gives them those of now.
#prices: [contract-prices.csv]

# Models that the price book does not know by the name that the logs give them; * stands for anything.
#model_aliases:
#  gpt-5-eu: gpt-5
#  application-inference-profile/a1b2c3d4e5f6:
#    model: anthropic.claude-sonnet-4-5-20250929-v1:0
#    provider: aws                     # of calls of that provider only
#    region_scope: geo:eu              # where it is served, if the log does not say
#    from: 2026-01-01                  # first UTC day on which it means that
#    to: 2027-01-01                    # first UTC day on which it no longer does

# Rates of exchange, for statements in another currency than USD: CSV files with date, currency, rate, source. A rate is
# the units of the currency for one USD: 2026-10-30,EUR,0.9173,ECB. Taken is that of the month's last day, or the latest
# of the seven days before it.
#fx_rates: [eur.csv]

# The month's statement.
reports:
  from: finops@example.com             # sender of the mails
  recipients: [finance@example.com]    # finance: gets the whole statement
  #currency: USD                       # of the statement, ISO 4217; tables, budgets and savings stay in USD

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
