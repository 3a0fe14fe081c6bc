"""The names of the raw log formats, apart from the formats themselves so that reading the config loads none of them."""

FORMAT_NAMES = ("bedrock", "litellm", "record")
