-- repository: seed
-- Influencers, some of them on campaigns; the seed command seals their personal data after the SQL has run.

-- name: influencers :count
-- Five influencers with those of their niches that exist, and a campaign for four of them. Niches and campaigns are given only to
-- influencers that are inserted now, so that nothing comes back that somebody has removed. An influencer is skipped if its
-- username, email or phone is taken.
WITH given AS (
    SELECT username, name, phone, date_of_birth, gender, bio, niches, campaign, status, fee_minor
      FROM (VALUES ('ada.lind',     'Ada Lind',     '+46855501201',  date '1994-03-12', 'female',      'Slow mornings, loud colours.',   ARRAY['Beauty', 'Fashion'],     'Summer Launch',  'accepted', 40000::bigint),
                   ('bruno.reyes',  'Bruno Reyes',  '+34915550122',  date '1988-11-02', 'male',        'Cooks what the market has.',     ARRAY['Food'],                  'Winter Warmers', 'invited',  NULL),
                   ('chi.nakamura', 'Chi Nakamura', '+81355501223',  date '1999-07-21', 'other',       'Takes gadgets apart.',           ARRAY['Technology', 'Gaming'],  'Always On',      'accepted', 15000),
                   ('dee.okafor',   'Dee Okafor',   '+234155501224', NULL,              'undisclosed', 'Night trains and film cameras.', ARRAY['Travel', 'Photography'], 'Summer Launch',  'declined', 30000),
                   ('emil.marek',   'Emil Marek',   '+420255501225', date '1991-01-30', NULL,          NULL,                             ARRAY['Music'],                 NULL,             NULL,       NULL))
             AS g (username, name, phone, date_of_birth, gender, bio, niches, campaign, status, fee_minor)
), inserted AS (
    INSERT INTO influencers (tenant_id, id, name, username, email, email_index, phone, phone_index, date_of_birth, gender, bio)
    SELECT t.id, md5(t.id || g.username)::uuid, g.name, g.username, app.unsealed(g.username || '@creators.example'),
           app.unsealed_index(g.username || '@creators.example'), app.unsealed(g.phone), app.unsealed_index(g.phone),
           g.date_of_birth, g.gender, g.bio
      FROM app.tenants AS t
     CROSS JOIN given AS g
     WHERE t.id = :tenant_id
        ON CONFLICT DO NOTHING
 RETURNING tenant_id, id, username
), attached AS (
    INSERT INTO influencer_niches (tenant_id, influencer_id, niche_id)
    SELECT i.tenant_id, i.id, n.id
      FROM inserted AS i
      JOIN given AS g ON g.username = i.username
      JOIN app.niches AS n ON n.name = ANY (g.niches)
), placed AS (
    INSERT INTO campaign_influencers (tenant_id, campaign_id, influencer_id, status, fee_minor, currency)
    SELECT i.tenant_id, c.id, i.id, g.status, g.fee_minor, CASE WHEN g.fee_minor IS NOT NULL THEN c.currency END
      FROM inserted AS i
      JOIN given AS g ON g.username = i.username
      JOIN campaigns AS c ON c.tenant_id = i.tenant_id AND c.id = md5(i.tenant_id || g.campaign)::uuid
     WHERE c.tenant_id = :tenant_id
       AND c.deleted_at IS NULL
)
SELECT id
  FROM inserted;
