"""Turns what Amazon Fraud Detector's API returns into our rules, lists and policy and reports what does not carry over.

Shapes: the service's API model of 2019-11-15. Rule language: its "Rule language reference".
"""
