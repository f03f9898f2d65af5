SET LOCAL lock_timeout = '4s';
DROP TABLE influencer_niches;
DROP FUNCTION record_influencer_niches();
DROP TABLE influencers;
DROP FUNCTION record_influencers();
