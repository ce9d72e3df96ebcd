"""The whole system on one machine: starts and stops the local stack."""
