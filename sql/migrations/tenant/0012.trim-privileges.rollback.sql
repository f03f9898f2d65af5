SET LOCAL lock_timeout = '4s';
GRANT INSERT (id) ON api_keys TO quarry_app;
GRANT INSERT (id) ON brand_niches TO quarry_app;
GRANT INSERT (id) ON campaign_influencers TO quarry_app;
GRANT INSERT (id) ON change_tickets TO quarry_app;
GRANT INSERT (id) ON idempotency_keys TO quarry_app;
GRANT INSERT (id) ON influencer_niches TO quarry_app;
GRANT INSERT (id) ON otps TO quarry_app;
GRANT INSERT (id) ON sessions TO quarry_app;
GRANT INSERT (id) ON sign_in_failures TO quarry_app;
GRANT UPDATE (expires_at) ON sessions TO quarry_app;
REVOKE SELECT (tenant_id, id, token_hash, bearer_kind, bearer_hash, expires_at)
    ON change_tickets FROM quarry_app;
GRANT SELECT ON change_tickets TO quarry_app;
REVOKE SELECT (tenant_id, id, caller_id, key, fingerprint, xid, answer, expires_at)
    ON idempotency_keys FROM quarry_app;
GRANT SELECT ON idempotency_keys TO quarry_app;
REVOKE SELECT (tenant_id, id, user_id, token_hash, ip, user_agent, last_seen_at, expires_at, revoked_at, created_at, expired_at)
    ON sessions FROM quarry_app;
GRANT SELECT ON sessions TO quarry_app;
