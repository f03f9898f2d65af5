-- A read in one message: it binds the tenant, looks the bearer up and runs a statement, in one snapshot and without BEGIN and COMMIT.
-- The tenant's id is the first parameter; in the two statements that are inserted, entered.tenant_id stands for it. OFFSET 0 keeps
-- the subqueries separate, so that no table is read before app.entered() has bound the tenant. Lines that end in `-- numbers` or
-- `-- bearer` are left out if the message has no commit numbers or no bearer. If there is no such bearer, the statement does not run.
-- With the lines `-- rows`, the result has the rows of the statement: they keep their order, because a single row is joined to them,
-- and if there are none, it is one row without "#is_row". With the lines `-- json`, it is one row: "#rows" has the rows as JSON texts,
-- in the statement's order, or NULL; the columns are those of the row model, and times are written as app.rfc3339() does.
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
  LEFT JOIN LATERAL (SELECT true AS "#is_row", r.*                                                      -- rows
  LEFT JOIN LATERAL (SELECT array_agg(row_to_json(j)::text) AS "#rows"                                  -- json
                       FROM (SELECT /* the columns */                                                   -- json
                       FROM (
/* the statement */
                            ) AS r
                      WHERE bearer."#is_bearer"                                                         -- bearer
                     OFFSET 0) AS j                                                                     -- json
                     OFFSET 0) AS answer ON true
