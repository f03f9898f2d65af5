SET LOCAL lock_timeout = '4s';
ALTER FUNCTION record_users() RESET enable_nestloop;
ALTER FUNCTION record_sessions() RESET enable_nestloop;
ALTER FUNCTION record_api_keys() RESET enable_nestloop;
ALTER FUNCTION record_influencers() RESET enable_nestloop;
ALTER FUNCTION record_influencer_niches() RESET enable_nestloop;
ALTER FUNCTION record_brands() RESET enable_nestloop;
ALTER FUNCTION record_brand_niches() RESET enable_nestloop;
ALTER FUNCTION record_campaigns() RESET enable_nestloop;
ALTER FUNCTION record_contents() RESET enable_nestloop;
ALTER FUNCTION record_campaign_influencers() RESET enable_nestloop;
DROP TRIGGER refuse_truncate ON campaign_influencers;
DROP TRIGGER refuse_truncate ON contents;
DROP TRIGGER refuse_truncate ON campaigns;
DROP TRIGGER refuse_truncate ON brand_niches;
DROP TRIGGER refuse_truncate ON brands;
DROP TRIGGER refuse_truncate ON influencer_niches;
DROP TRIGGER refuse_truncate ON influencers;
DROP TRIGGER refuse_truncate ON api_keys;
DROP TRIGGER refuse_truncate ON sessions;
DROP TRIGGER refuse_truncate ON users;
DROP TABLE change_tickets;
CREATE OR REPLACE FUNCTION record_sessions() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = ''
AS $$
BEGIN
    CASE TG_OP
    WHEN 'INSERT' THEN
        PERFORM app.record_changes('sessions', 'insert', array_agg(n.tenant_id), array_agg(n.id), NULL)
           FROM new_rows AS n HAVING count(*) > 0;
    WHEN 'UPDATE' THEN
        PERFORM app.record_changes('sessions', 'update', array_agg(n.tenant_id), array_agg(n.id), array_agg(concat_ws(',',
                CASE WHEN n.user_id IS DISTINCT FROM o.user_id THEN 'user_id' END,
                CASE WHEN n.token_hash IS DISTINCT FROM o.token_hash THEN 'token_hash' END,
                CASE WHEN n.ip IS DISTINCT FROM o.ip THEN 'ip' END,
                CASE WHEN n.user_agent IS DISTINCT FROM o.user_agent THEN 'user_agent' END,
                CASE WHEN n.expires_at IS DISTINCT FROM o.expires_at THEN 'expires_at' END,
                CASE WHEN n.revoked_at IS DISTINCT FROM o.revoked_at THEN 'revoked_at' END)))
           FROM new_rows AS n JOIN old_rows AS o ON o.tenant_id = n.tenant_id AND o.id = n.id
          WHERE n.version <> o.version HAVING count(*) > 0;
    WHEN 'DELETE' THEN
        PERFORM app.record_changes('sessions', 'delete', array_agg(o.tenant_id), array_agg(o.id), NULL)
           FROM old_rows AS o HAVING count(*) > 0;
    END CASE;
    RETURN NULL;
END
$$;
DROP TRIGGER touch ON sessions;
CREATE TRIGGER touch BEFORE UPDATE ON sessions
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id OR OLD.tenant_id <> NEW.tenant_id OR OLD.id <> NEW.id
                       OR OLD.token_hash <> NEW.token_hash OR OLD.ip IS DISTINCT FROM NEW.ip OR OLD.version <> NEW.version
                       OR OLD.user_agent IS DISTINCT FROM NEW.user_agent OR OLD.created_at <> NEW.created_at
                       OR OLD.updated_at <> NEW.updated_at
                       OR OLD.expires_at <> NEW.expires_at OR OLD.revoked_at IS DISTINCT FROM NEW.revoked_at) EXECUTE FUNCTION app.touch();
ALTER TABLE sessions DROP COLUMN expired_at;
