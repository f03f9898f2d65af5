-- repository: seed
-- Brands that campaigns are run for; the seed command seals their personal data after the SQL has run.

-- name: brands :count
-- Five brands with those of their niches that exist. Niches are attached only to brands that are inserted now, so that a niche
-- that somebody has detached is not attached again. A brand is skipped if its username, email or phone is taken.
WITH given AS (
    SELECT username, brand_name, legal_entity_name, company_type, phone, poc_name, document, niches
      FROM (VALUES ('morrow.tea',    'Morrow Tea',    'Morrow Tea Ltd',         'private_limited',     '+442055501101', 'Ines Vogel',  NULL,                           ARRAY['Food', 'Health']),
                   ('kelp.and.co',   'Kelp & Co',     'Kelp & Co LLP',          'llp',                 '+442055501102', 'Tom Ahearn',  NULL,                           ARRAY['Beauty', 'Sustainability']),
                   ('bright.bottle', 'Bright Bottle', 'Bright Bottle PLC',      'public_limited',      '+442055501103', 'Mira Solano', 'https://files.example/bottle', ARRAY['Home', 'Sustainability']),
                   ('trailhead',     'Trailhead',     NULL,                     NULL,                  '+442055501104', NULL,          NULL,                           ARRAY['Travel', 'Fitness']),
                   ('pixel.parlour', 'Pixel Parlour', 'Pixel Parlour, J. Wade', 'sole_proprietorship', '+442055501105', 'Jo Wade',     NULL,                           ARRAY['Gaming', 'Technology']))
             AS g (username, brand_name, legal_entity_name, company_type, phone, poc_name, document, niches)
), inserted AS (
    INSERT INTO brands (tenant_id, id, brand_name, username, email, email_index, phone, phone_index, legal_entity_name,
                        company_type, brand_email, poc_name, poc_designation, poc_email, poc_contact_number, bio,
                        incorporation_document, gst_document, pan_document)
    SELECT t.id, md5(t.id || g.username)::uuid, g.brand_name, g.username, app.unsealed('hello@' || g.username || '.example'),
           app.unsealed_index('hello@' || g.username || '.example'), app.unsealed(g.phone), app.unsealed_index(g.phone),
           g.legal_entity_name, g.company_type, app.unsealed('press@' || g.username || '.example'), g.poc_name,
           CASE WHEN g.poc_name IS NOT NULL THEN 'Marketing' END,
           CASE WHEN g.poc_name IS NOT NULL THEN app.unsealed('marketing@' || g.username || '.example') END,
           CASE WHEN g.poc_name IS NOT NULL THEN app.unsealed(g.phone) END,
           g.brand_name || ' works with ' || t.name || '.', app.unsealed(g.document || '/incorporation.pdf'),
           app.unsealed(g.document || '/gst.pdf'), app.unsealed(g.document || '/pan.pdf')
      FROM app.tenants AS t
     CROSS JOIN given AS g
     WHERE t.id = :tenant_id
        ON CONFLICT DO NOTHING
 RETURNING tenant_id, id, username
), attached AS (
    INSERT INTO brand_niches (tenant_id, brand_id, niche_id)
    SELECT i.tenant_id, i.id, n.id
      FROM inserted AS i
      JOIN given AS g ON g.username = i.username
      JOIN app.niches AS n ON n.name = ANY (g.niches)
)
SELECT id
  FROM inserted;
