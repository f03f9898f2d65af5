"""Call: the `Call` of service.http, whose operations get this service's `Work`."""

from __future__ import annotations

from service.http import call
from service.work import Work

Call = call.Call[Work]
