-- The rows of a statement with the numbers of the snapshot that they were read in: how the cache reads. One row without
-- "#is_row" when there are none. The statement's order stays: the one row of the numbers is joined to it as it comes.
SELECT i.epoch AS "#epoch", h.head AS "#number", i.shared_number AS "#shared", q.*
  FROM app.installation AS i
  JOIN app.heads AS h ON h.tenant_id = app.current_tenant()
  LEFT JOIN (SELECT true AS "#is_row", s.*
               FROM (
/* the statement */
                    ) AS s) AS q ON true
