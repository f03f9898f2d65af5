-- Idempotency keys: what a request was answered, so that repeating it answers the same and does nothing twice.
-- depends: 0008.seal-user-emails

SET LOCAL lock_timeout = '4s';

CREATE TABLE idempotency_keys (
    tenant_id   uuid        NOT NULL DEFAULT app.current_tenant(),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    caller_id   uuid        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    xid         xid8        NOT NULL DEFAULT pg_current_xact_id(),
    answer      bytea,
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz NOT NULL,
    CONSTRAINT idempotency_keys_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT idempotency_keys_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT idempotency_keys_tenant_id_caller_id_key_key UNIQUE (tenant_id, caller_id, key),
    CONSTRAINT idempotency_keys_key_check CHECK (char_length(key) BETWEEN 1 AND 200),
    CONSTRAINT idempotency_keys_fingerprint_check CHECK (octet_length(fingerprint) = 32),
    CONSTRAINT idempotency_keys_answer_check CHECK (app.is_sealed(answer)),
    CONSTRAINT idempotency_keys_expires_at_check CHECK (expires_at > created_at)
);
COMMENT ON TABLE idempotency_keys IS 'Answers to repeat, sealed like personal data; written in the transaction of the effect that they tell of.';
COMMENT ON CONSTRAINT idempotency_keys_pkey ON idempotency_keys IS 'idempotency_keys.settle.';
COMMENT ON CONSTRAINT idempotency_keys_tenant_id_fkey ON idempotency_keys IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT idempotency_keys_tenant_id_caller_id_key_key ON idempotency_keys IS 'A caller''s key is used once; a concurrent twin waits here (idempotency_keys.claim).';
COMMENT ON CONSTRAINT idempotency_keys_key_check ON idempotency_keys IS '1 to 200 characters.';
COMMENT ON CONSTRAINT idempotency_keys_fingerprint_check ON idempotency_keys IS 'HMAC of method, address, precondition and body.';
COMMENT ON CONSTRAINT idempotency_keys_answer_check ON idempotency_keys IS 'Answers hold personal data, so they are sealed.';
COMMENT ON CONSTRAINT idempotency_keys_expires_at_check ON idempotency_keys IS 'An answer is kept for a while.';

CREATE INDEX idempotency_keys_expires_at_idx ON idempotency_keys (tenant_id, expires_at);
COMMENT ON INDEX idempotency_keys_expires_at_idx IS 'idempotency_keys.purge.';

ALTER TABLE idempotency_keys ENABLE ROW LEVEL SECURITY;
ALTER TABLE idempotency_keys FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON idempotency_keys
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON idempotency_keys IS 'Rows of the bound tenant only, for every role.';

GRANT SELECT, DELETE ON idempotency_keys TO quarry_app;
GRANT INSERT (tenant_id, id, caller_id, key, fingerprint, expires_at),
      UPDATE (fingerprint, xid, answer, expires_at) ON idempotency_keys TO quarry_app;
