"""A page: what the navigation shows, and the routes behind it."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter

from console.access import Role


@dataclass(frozen=True)
class Page:
    """A page of the console, drawn by `static/pages/<name>.js`.

    Attributes:
        name: the first part of its address, `/<name>`.
        title: as the navigation shows it.
        role: the lowest role that may use it; its routes refuse lower ones too.
        router: its part of the JSON API, mounted below `/api`.
        listed: whether the navigation shows it; else other pages lead to it.
    """

    name: str
    title: str
    role: Role
    router: APIRouter
    listed: bool = True
