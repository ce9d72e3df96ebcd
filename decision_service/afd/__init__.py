"""Answers the API of Amazon Fraud Detector for an imported detector: another door of the decision service.

Protocol: AWS JSON 1.1 with Signature Version 4. Shapes: the service's API model of 2019-11-15.
"""
