"""Rating: the price catalogue, the effective-dated book compiled from it, model ids, and the join that prices calls."""
