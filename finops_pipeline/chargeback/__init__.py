"""Billing: from daily costs to the month's statement and its revisions. What a statement looks like is in reports."""
