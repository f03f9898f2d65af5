from __future__ import annotations
from service.addresses import Address
from service.checks import entries as catalogue
from service.checks import scratch, suite, findings
from service.work import Work
import time
from service.checks import proving
from service.checks.runs import attack, growth, observing, samples
T={}
def wrap(mod,name):
    f=getattr(mod,name)
    async def w(*a,**k):
        s=time.time()
        try: return await f(*a,**k)
        finally: T[name]=T.get(name,0)+time.time()-s
    setattr(mod,name,w)
wrap(observing,"observe"); wrap(attack,"_attack"); wrap(attack,"_repeat"); wrap(growth,"_measure"); wrap(growth,"_touched"); wrap(proving,"prove"); wrap(growth,"_note_what_may_grow"); wrap(samples.Sampler,"fill")
from service.checks.runs.arguments import Arguments
wrap(Arguments,"values")
from service.checks.rules import indexes
wrap(indexes,"check"); wrap(attack,"_fingerprint")
async def test_x(server) -> None:
    entries = catalogue.entries(Work)
    async with scratch.database(Address(server.url()), "quarry") as made, scratch.connected(made, "quarry") as connection:
        t = time.time()
        ex = await suite.examine(connection, "quarry", entries, is_whole=True)
        t = time.time() - t
    with open("/tmp/h/found.txt", "w") as f:
        print(t, T, file=f)
        for x in findings.printed(ex.findings): print(x, file=f)
