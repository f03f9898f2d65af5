-- repository: CampaignInfluencers
-- A row is the agreement of an influencer with a campaign: a status (invited, accepted, declined or removed) and a fee.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- campaign_influencers
--   tenant_id      uuid NOT NULL DEFAULT app.current_tenant() +i
--   id             uuid NOT NULL DEFAULT gen_random_uuid()
--   campaign_id    uuid NOT NULL +i
--   influencer_id  uuid NOT NULL +i
--   status         text NOT NULL DEFAULT 'invited' +i +u
--   fee_minor      bigint +i +u
--   currency       text +i +u
--   created_at     timestamptz NOT NULL DEFAULT now()
--   updated_at     timestamptz NOT NULL DEFAULT now()
--   version        integer NOT NULL DEFAULT 1
--   PRIMARY KEY (tenant_id, id)
--   UNIQUE (tenant_id, campaign_id, influencer_id)
--   FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns(tenant_id, id) ON DELETE CASCADE
--   FOREIGN KEY (tenant_id, influencer_id) REFERENCES influencers(tenant_id, id)
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (currency ~ '^[A-Z]{3}$')
--   CHECK (fee_minor >= 0 AND fee_minor <= '9007199254740991'::bigint)
--   CHECK (status = ANY (ARRAY['invited', 'accepted', 'declined', 'removed']))
--   INDEX (tenant_id, influencer_id)
--   triggers: record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.

-- name: page :many
-- One page of the live influencers on a live campaign, newest first; :after_created_at and :after_id are those of the last row of
-- the previous page.
SELECT a.id, a.campaign_id, a.influencer_id, i.name AS influencer_name, i.username AS influencer_username,
       a.status, a.fee_minor, a.currency, a.created_at, a.updated_at, a.version
  FROM campaign_influencers AS a
  JOIN campaigns AS c ON c.tenant_id = a.tenant_id AND c.id = a.campaign_id
  JOIN influencers AS i ON i.tenant_id = a.tenant_id AND i.id = a.influencer_id
 WHERE a.tenant_id = :tenant_id
   AND c.tenant_id = :tenant_id
   AND i.tenant_id = :tenant_id
   AND a.campaign_id = :campaign_id
   AND c.deleted_at IS NULL
   AND i.deleted_at IS NULL
   AND a.status = :status                                       -- when :status
   AND (a.created_at, a.id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY a.created_at DESC, a.id DESC
 LIMIT :limit;

-- name: put :maybe
-- Adds a live influencer to a live campaign; if the influencer is on the campaign already, replaces status, fee and currency. A
-- fee without a currency gets the currency of the campaign. No row if there is no such campaign or influencer. Campaign and
-- influencer are locked, so that neither can be deleted before this transaction ends.
WITH placed AS (
    INSERT INTO campaign_influencers AS a (tenant_id, campaign_id, influencer_id, status, fee_minor, currency)
    SELECT c.tenant_id, c.id, i.id, :status, :fee_minor,
           CASE WHEN :fee_minor::bigint IS NULL THEN NULL ELSE coalesce(:currency, c.currency) END
      FROM campaigns AS c
      JOIN influencers AS i ON i.tenant_id = c.tenant_id
     WHERE c.tenant_id = :tenant_id
       AND i.tenant_id = :tenant_id
       AND c.id = :campaign_id
       AND i.id = :influencer_id
       AND c.deleted_at IS NULL
       AND i.deleted_at IS NULL
       FOR SHARE
        ON CONFLICT ON CONSTRAINT campaign_influencers_tenant_id_campaign_id_influencer_id_key DO UPDATE
       SET status    = excluded.status,
           fee_minor = excluded.fee_minor,
           currency  = excluded.currency
 RETURNING a.id, a.campaign_id, a.influencer_id, a.status, a.fee_minor, a.currency, a.created_at, a.updated_at, a.version
)
SELECT p.id, p.campaign_id, p.influencer_id, i.name AS influencer_name, i.username AS influencer_username,
       p.status, p.fee_minor, p.currency, p.created_at, p.updated_at, p.version
  FROM placed AS p
  JOIN influencers AS i ON i.tenant_id = :tenant_id AND i.id = p.influencer_id
 WHERE i.tenant_id = :tenant_id;

-- name: remove :count
-- Deletes the row of an influencer in a live campaign.
DELETE FROM campaign_influencers AS a
 USING campaigns AS c
 WHERE a.tenant_id = :tenant_id
   AND c.tenant_id = :tenant_id
   AND c.id = a.campaign_id
   AND c.deleted_at IS NULL
   AND a.campaign_id = :campaign_id
   AND a.influencer_id = :influencer_id;
