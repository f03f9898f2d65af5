-- $sentence
-- depends: $depends

SET LOCAL lock_timeout = '4s';

CREATE TABLE $table (
    tenant_id  uuid        NOT NULL DEFAULT app.current_tenant(),
    id         uuid        NOT NULL DEFAULT gen_random_uuid(),
    name       text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    version    integer     NOT NULL DEFAULT 1,
    deleted_at timestamptz,
    CONSTRAINT ${table}_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT ${table}_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT ${table}_name_check CHECK (char_length(name) BETWEEN 1 AND 200)
);
COMMENT ON TABLE $table IS 'What a row of it is.';
COMMENT ON CONSTRAINT ${table}_pkey ON $table IS '$table.find.';
COMMENT ON CONSTRAINT ${table}_tenant_id_fkey ON $table IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT ${table}_name_check ON $table IS 'Names have 1 to 200 characters.';
CREATE INDEX ${table}_created_at_idx ON $table (tenant_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
COMMENT ON INDEX ${table}_created_at_idx IS 'Page order of $table.page.';
CREATE INDEX ${table}_deleted_at_idx ON $table (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON INDEX ${table}_deleted_at_idx IS 'prune_deleted(): what was deleted long ago.';

ALTER TABLE $table ENABLE ROW LEVEL SECURITY;
ALTER TABLE $table FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON $table
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON $table IS 'Rows of the bound tenant only, for every role.';
CREATE TRIGGER touch BEFORE UPDATE ON $table
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch();

GRANT SELECT,
      INSERT (tenant_id, name),
      UPDATE (name, deleted_at) ON $table TO quarry_app;

CREATE FUNCTION record_$table() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
    -- Its plan is kept for statements with many rows; a nested loop would be quadratic.
    SET enable_nestloop = off
AS $$$$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('$table', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('$table', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.name IS DISTINCT FROM o.name THEN 'name' END,
                CASE WHEN n.deleted_at IS DISTINCT FROM o.deleted_at THEN 'deleted_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('$table', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$$$;
COMMENT ON FUNCTION record_$table() IS 'Writes changes of $table to the log.';
CREATE TRIGGER record_insert AFTER INSERT ON $table
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_$table();
CREATE TRIGGER record_update AFTER UPDATE ON $table
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION record_$table();
CREATE TRIGGER record_delete AFTER DELETE ON $table
    REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION record_$table();
CREATE TRIGGER refuse_truncate BEFORE TRUNCATE ON $table
    FOR EACH STATEMENT EXECUTE FUNCTION app.refuse_truncate();
