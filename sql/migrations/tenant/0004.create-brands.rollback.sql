SET LOCAL lock_timeout = '4s';
DROP TABLE brand_niches;
DROP FUNCTION record_brand_niches();
DROP TABLE brands;
DROP FUNCTION complete_brand();
DROP FUNCTION record_brands();
