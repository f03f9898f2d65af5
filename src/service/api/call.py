"""Call: a request, as in service.http.call. Its operations get a `Work`, the unit of work with all repositories."""

from __future__ import annotations

from service.http import call
from service.work import Work

Call = call.Call[Work]
