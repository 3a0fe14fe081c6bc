"""What finance gets to see of a statement: page and mail, rendered from one value. Nothing here computes a charge."""
