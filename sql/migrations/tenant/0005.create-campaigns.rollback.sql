SET LOCAL lock_timeout = '4s';
DROP TRIGGER check_unused ON users;
DROP FUNCTION check_user_unused();
DROP TABLE campaigns;
DROP FUNCTION keep_archived();
DROP FUNCTION check_campaign_references();
DROP FUNCTION record_campaigns();
