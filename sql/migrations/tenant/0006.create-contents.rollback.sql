SET LOCAL lock_timeout = '4s';
DROP TABLE campaign_influencers;
DROP FUNCTION record_campaign_influencers();
DROP TABLE contents;
DROP FUNCTION publish_content();
DROP FUNCTION record_contents();
