"""For programs outside that do work of an application: fetch it, keep it, complete it."""

from procession.api.worker import FetchedCall, Worker

__all__ = ["FetchedCall", "Worker"]
