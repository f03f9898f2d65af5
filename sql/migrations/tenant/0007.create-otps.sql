-- One-time codes that prove a phone number.
-- depends: 0006.create-contents

SET LOCAL lock_timeout = '4s';

CREATE TABLE otps (
    tenant_id   uuid        NOT NULL DEFAULT app.current_tenant(),
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    phone_index bytea       NOT NULL,
    code_hash   bytea       NOT NULL,
    attempts    integer     NOT NULL DEFAULT 0,
    expires_at  timestamptz NOT NULL,
    used_at     timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT otps_pkey PRIMARY KEY (tenant_id, id),
    CONSTRAINT otps_tenant_id_fkey FOREIGN KEY (tenant_id) REFERENCES app.tenants (id),
    CONSTRAINT otps_phone_index_check CHECK (octet_length(phone_index) = 32),
    CONSTRAINT otps_code_hash_check CHECK (octet_length(code_hash) = 32),
    CONSTRAINT otps_attempts_check CHECK (attempts BETWEEN 0 AND 10),
    CONSTRAINT otps_expires_at_check CHECK (expires_at > created_at)
);
COMMENT ON TABLE otps IS 'One-time codes for phone verification; code and phone are hashed.';
COMMENT ON CONSTRAINT otps_pkey ON otps IS 'Every tenant row has an id of its own.';
COMMENT ON CONSTRAINT otps_tenant_id_fkey ON otps IS 'Rows belong to a tenant that exists.';
COMMENT ON CONSTRAINT otps_phone_index_check ON otps IS 'HMAC of the phone number.';
COMMENT ON CONSTRAINT otps_code_hash_check ON otps IS 'HMAC of the code.';
COMMENT ON CONSTRAINT otps_attempts_check ON otps IS 'Guessing ends here whatever the caller does.';
COMMENT ON CONSTRAINT otps_expires_at_check ON otps IS 'A code lives for a while.';
CREATE INDEX otps_phone_index_idx ON otps (tenant_id, phone_index, created_at DESC);
COMMENT ON INDEX otps_phone_index_idx IS 'The newest code of a phone.';
CREATE INDEX otps_expires_at_idx ON otps (tenant_id, expires_at);
COMMENT ON INDEX otps_expires_at_idx IS 'The purge of old codes.';

ALTER TABLE otps ENABLE ROW LEVEL SECURITY;
ALTER TABLE otps FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant ON otps
    USING (tenant_id = app.current_tenant()) WITH CHECK (tenant_id = app.current_tenant());
COMMENT ON POLICY tenant ON otps IS 'Rows of the bound tenant only, for every role.';

GRANT SELECT, DELETE ON otps TO quarry_app;
GRANT INSERT (tenant_id, id, phone_index, code_hash, expires_at), UPDATE (attempts, used_at) ON otps TO quarry_app;
