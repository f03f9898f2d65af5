-- As read_rows.sql, but with one row: "#rows" has the rows of the statement as JSON texts, in the statement's order (NULL if there
-- are none). The columns are those of the row model; a timestamp is written as app.rfc3339() does.
SELECT entered.tenant_id AS "#tenant",
       numbers.*,                                                                                       -- numbers
       bearer.*,                                                                                        -- bearer
       answer."#rows"
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
  LEFT JOIN LATERAL (SELECT array_agg(row_to_json(j)::text) AS "#rows"
                       FROM (SELECT /* the columns */
                               FROM (
/* the statement */
                                    ) AS r
                              WHERE bearer."#is_bearer"                                                 -- bearer
                             OFFSET 0) AS j
                     OFFSET 0) AS answer ON true
