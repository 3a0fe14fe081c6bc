"""How finished messages leave, each exactly once. What they say is in ``reports``."""
