"""Savings: what a day's calls would have cost less with, a counterfactual that is repriced call by call.

A lever is a module: it says which calls qualify, and what they would have been in its place. What that costs is
``repricing``'s, how levers add up ``analysis``'s, what a month comes to ``found``'s. Nothing here reads the lake.
"""
