"""The store room: rows in, records out. One writer (`open_store`), readers beside it, and the check of what must always hold."""

from procession.store.batch import Batch
from procession.store.event_log import LogEntry
from procession.store.events import EventRow, NewEvent
from procession.store.instance_queries import InstanceFilter
from procession.store.instances import InstanceRow, NewInstance
from procession.store.lock import LockHolder, find_holder, lock_path
from procession.store.opening import OpenOptions, Store, open_store
from procession.store.readers import Readers, open_readers
from procession.store.releases import ReleaseRow, SiteRow
from procession.store.requests import NewRequest, RequestRow
from procession.store.service_calls import NewServiceCall, ServiceCallRow
from procession.store.timers import TimerRow
from procession.store.view import Counts, View, Waits
from procession.store.waiting import WaitingEventRow
from procession.store.worklist import NewWorkItem, NewWorkItemEvent, WorkItemEventRow, WorkItemRow
from procession.store.worklist_queries import ItemWithInput

__all__ = [
    "Batch",
    "Counts",
    "EventRow",
    "InstanceFilter",
    "InstanceRow",
    "ItemWithInput",
    "LockHolder",
    "LogEntry",
    "NewEvent",
    "NewInstance",
    "NewRequest",
    "NewServiceCall",
    "NewWorkItem",
    "NewWorkItemEvent",
    "OpenOptions",
    "Readers",
    "ReleaseRow",
    "RequestRow",
    "ServiceCallRow",
    "SiteRow",
    "Store",
    "TimerRow",
    "View",
    "WaitingEventRow",
    "Waits",
    "WorkItemEventRow",
    "WorkItemRow",
    "find_holder",
    "lock_path",
    "open_readers",
    "open_store",
]
