"""What finance and team owners get to see of a statement: pages, mails and files, rendered from one value.

Nothing here computes a charge, decides who is told, or sends anything.
"""
