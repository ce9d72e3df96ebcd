"""Idle threads of OpenMP wait instead of spinning, as in every program of ours (`adapters.program`)."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
