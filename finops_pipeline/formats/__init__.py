"""Raw log formats, one module each: where its objects lie, which fields it has, and how they become ``usage``."""
