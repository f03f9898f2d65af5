-- Takes from the serving role what no statement does: the database gives ids, and what nobody reads is not shown.
-- depends: 0011.follow-changes

SET LOCAL lock_timeout = '4s';

REVOKE INSERT (id) ON api_keys FROM quarry_app;
REVOKE INSERT (id) ON brand_niches FROM quarry_app;
REVOKE INSERT (id) ON campaign_influencers FROM quarry_app;
REVOKE INSERT (id) ON change_tickets FROM quarry_app;
REVOKE INSERT (id) ON idempotency_keys FROM quarry_app;
REVOKE INSERT (id) ON influencer_niches FROM quarry_app;
REVOKE INSERT (id) ON otps FROM quarry_app;
REVOKE INSERT (id) ON sessions FROM quarry_app;
REVOKE INSERT (id) ON sign_in_failures FROM quarry_app;
REVOKE UPDATE (expires_at) ON sessions FROM quarry_app;

REVOKE SELECT ON change_tickets FROM quarry_app;
GRANT SELECT (tenant_id, id, token_hash, bearer_kind, bearer_hash, expires_at)
    ON change_tickets TO quarry_app;
REVOKE SELECT ON idempotency_keys FROM quarry_app;
GRANT SELECT (tenant_id, id, caller_id, key, fingerprint, xid, answer, expires_at)
    ON idempotency_keys TO quarry_app;
REVOKE SELECT ON sessions FROM quarry_app;
GRANT SELECT (tenant_id, id, user_id, token_hash, ip, user_agent, last_seen_at, expires_at, revoked_at, created_at, expired_at)
    ON sessions TO quarry_app;
