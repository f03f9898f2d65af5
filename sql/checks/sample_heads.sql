-- Sets the counters of the tenants $1 to their last commit: no foreign key says that the one counts the other.
UPDATE app.heads AS h
   SET head = coalesce((SELECT max(c.number) FROM app.commits AS c WHERE c.tenant_id = h.tenant_id), 0), floor = 0
 WHERE h.tenant_id = ANY ($1::uuid[]);
