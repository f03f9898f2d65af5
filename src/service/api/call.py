"""Call: a request on its way to this service's Work."""

from __future__ import annotations

from service.http import call
from service.work import Work

Call = call.Call[Work]
