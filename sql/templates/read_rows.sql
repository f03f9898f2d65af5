-- A read in one message: it enters the tenant, looks the bearer up and runs a statement, in one snapshot and without BEGIN and
-- COMMIT. The tenant's id is the first parameter; in the two statements that are inserted, entered.tenant_id stands for it.
-- OFFSET 0 keeps the planner from looking at a table before app.entered() has bound the tenant. Lines that end in `-- numbers`
-- or `-- bearer` are left out if these are not asked for. There is one row without "#is_row" if the statement has no row; the
-- statement is not run if there is no such bearer. Its order stays, because the one row before it is joined to it as it comes.
SELECT entered.tenant_id AS "#tenant",
       numbers.*,                                                                                       -- numbers
       bearer.*,                                                                                        -- bearer
       answer.*
  FROM app.entered($1) AS entered (tenant_id)
  LEFT JOIN LATERAL (SELECT i.epoch AS "#epoch", h.head AS "#number", i.shared_number AS "#shared"      -- numbers
                       FROM app.installation AS i                                                       -- numbers
                       JOIN app.heads AS h ON h.tenant_id = entered.tenant_id                           -- numbers
                     OFFSET 0) AS numbers ON true                                                       -- numbers
  LEFT JOIN LATERAL (SELECT true AS "#is_bearer", b.*                                                   -- bearer
                       FROM (                                                                           -- bearer
/* the bearer */                                                                                        -- bearer
                            ) AS b                                                                      -- bearer
                     OFFSET 0) AS bearer ON true                                                        -- bearer
  LEFT JOIN LATERAL (SELECT true AS "#is_row", r.*
                       FROM (
/* the statement */
                            ) AS r
                      WHERE bearer."#is_bearer"                                                         -- bearer
                     OFFSET 0) AS answer ON true
