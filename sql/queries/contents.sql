-- repository: Contents
-- A content is a post, reel, story, video or article for a campaign. It can be read only while its campaign is live.
-- The tables after all migrations, written by `make schema`. +i: quarry_app may insert the column; +u: update it.
--
-- contents
--   tenant_id     uuid NOT NULL DEFAULT app.current_tenant() +i
--   id            uuid NOT NULL DEFAULT gen_random_uuid() +i
--   campaign_id   uuid NOT NULL +i
--   kind          text NOT NULL +i +u
--   title         text NOT NULL +i +u
--   body          text +i +u
--   url           text +i +u
--   status        text NOT NULL DEFAULT 'draft' +i +u
--   published_at  timestamptz
--   created_at    timestamptz NOT NULL DEFAULT now()
--   updated_at    timestamptz NOT NULL DEFAULT now()
--   version       integer NOT NULL DEFAULT 1
--   deleted_at    timestamptz +u
--   PRIMARY KEY (tenant_id, id)
--   FOREIGN KEY (tenant_id, campaign_id) REFERENCES campaigns(tenant_id, id) ON DELETE CASCADE
--   FOREIGN KEY (tenant_id) REFERENCES app.tenants(id)
--   CHECK (char_length(body) <= 10000)
--   CHECK (kind = ANY (ARRAY['post', 'reel', 'story', 'video', 'article']))
--   CHECK (status = ANY (ARRAY['draft', 'submitted', 'approved', 'published']))
--   CHECK (char_length(title) >= 1 AND char_length(title) <= 200)
--   CHECK (char_length(url) <= 2000)
--   INDEX (tenant_id, campaign_id, created_at DESC, id DESC)
--   INDEX (tenant_id, deleted_at) WHERE deleted_at IS NOT NULL
--   triggers: publish, record_delete, record_insert, record_update, refuse_truncate, touch
-- End of the tables.

-- name: create :maybe
-- Creates a content of a live campaign. No row if there is no such campaign.
INSERT INTO contents (tenant_id, campaign_id, kind, title, body, url, status)
SELECT c.tenant_id, c.id, :kind, :title, :body, :url, :status
  FROM campaigns AS c
 WHERE c.tenant_id = :tenant_id
   AND c.id = :campaign_id
   AND c.deleted_at IS NULL
   FOR SHARE
RETURNING id, campaign_id, kind, title, body, url, status, published_at, created_at, updated_at, version;

-- name: find :one
-- Finds a live content of a live campaign, by the content's id and the campaign's id.
SELECT n.id, n.campaign_id, n.kind, n.title, n.body, n.url, n.status, n.published_at, n.created_at, n.updated_at, n.version
  FROM contents AS n
  JOIN campaigns AS c ON c.tenant_id = n.tenant_id AND c.id = n.campaign_id
 WHERE n.tenant_id = :tenant_id
   AND c.tenant_id = :tenant_id
   AND n.campaign_id = :campaign_id
   AND n.id = :id
   AND n.deleted_at IS NULL
   AND c.deleted_at IS NULL;

-- name: page :many
-- One page of the live contents of a live campaign, newest first; :after_created_at and :after_id are those of the last row of
-- the previous page.
SELECT n.id, n.campaign_id, n.kind, n.title, n.body, n.url, n.status, n.published_at, n.created_at, n.updated_at, n.version
  FROM contents AS n
  JOIN campaigns AS c ON c.tenant_id = n.tenant_id AND c.id = n.campaign_id
 WHERE n.tenant_id = :tenant_id
   AND c.tenant_id = :tenant_id
   AND n.campaign_id = :campaign_id
   AND n.deleted_at IS NULL
   AND c.deleted_at IS NULL
   AND n.status = :status                                       -- when :status
   AND n.kind = :kind                                           -- when :kind
   AND (n.created_at, n.id) < (:after_created_at, :after_id)    -- when :after_id
 ORDER BY n.created_at DESC, n.id DESC
 LIMIT :limit;

-- name: update :maybe
-- Changes those fields of a live content that :given lists, if its version is :version (without :version, whatever its version).
-- Otherwise returns it unchanged, with applied = false; no row if there is no such content.
WITH updated AS (
    UPDATE contents AS n
       SET kind   = CASE WHEN 'kind' = ANY (:given::text[]) THEN :kind ELSE n.kind END,
           title  = CASE WHEN 'title' = ANY (:given) THEN :title ELSE n.title END,
           body   = CASE WHEN 'body' = ANY (:given) THEN :body ELSE n.body END,
           url    = CASE WHEN 'url' = ANY (:given) THEN :url ELSE n.url END,
           status = CASE WHEN 'status' = ANY (:given) THEN :status ELSE n.status END
      FROM campaigns AS c
     WHERE n.tenant_id = :tenant_id
       AND c.tenant_id = :tenant_id
       AND c.id = n.campaign_id
       AND c.deleted_at IS NULL
       AND n.campaign_id = :campaign_id
       AND n.id = :id
       AND n.deleted_at IS NULL
       AND n.version = :version    -- when :version
 RETURNING n.id, n.campaign_id, n.kind, n.title, n.body, n.url, n.status, n.published_at,
           n.created_at, n.updated_at, n.version
)
SELECT id, campaign_id, kind, title, body, url, status, published_at, created_at, updated_at, version, true AS applied
  FROM updated
 UNION ALL
SELECT n.id, n.campaign_id, n.kind, n.title, n.body, n.url, n.status, n.published_at, n.created_at, n.updated_at, n.version,
       false AS applied
  FROM contents AS n
  JOIN campaigns AS c ON c.tenant_id = n.tenant_id AND c.id = n.campaign_id
 WHERE n.tenant_id = :tenant_id
   AND c.tenant_id = :tenant_id
   AND n.campaign_id = :campaign_id
   AND n.id = :id
   AND n.deleted_at IS NULL
   AND c.deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM updated);

-- name: remove :value
-- Marks a live content as deleted, if its version is :version (without :version, whatever its version). Returns true if it was
-- marked, false if it has another version, and no row if there is no such content.
WITH removed AS (
    UPDATE contents AS n
       SET deleted_at = now()
      FROM campaigns AS c
     WHERE n.tenant_id = :tenant_id
       AND c.tenant_id = :tenant_id
       AND c.id = n.campaign_id
       AND c.deleted_at IS NULL
       AND n.campaign_id = :campaign_id
       AND n.id = :id
       AND n.deleted_at IS NULL
       AND n.version = :version    -- when :version
 RETURNING n.id
)
SELECT true AS applied
  FROM removed
 UNION ALL
SELECT false AS applied
  FROM contents AS n
  JOIN campaigns AS c ON c.tenant_id = n.tenant_id AND c.id = n.campaign_id
 WHERE n.tenant_id = :tenant_id
   AND c.tenant_id = :tenant_id
   AND n.campaign_id = :campaign_id
   AND n.id = :id
   AND n.deleted_at IS NULL
   AND c.deleted_at IS NULL
   AND NOT EXISTS (SELECT FROM removed);

-- name: restore :one
-- Restores a deleted content of a live campaign; a content that is not deleted stays as it is.
   UPDATE contents AS n
      SET deleted_at = NULL
     FROM campaigns AS c
    WHERE n.tenant_id = :tenant_id
      AND c.tenant_id = :tenant_id
      AND c.id = n.campaign_id
      AND c.deleted_at IS NULL
      AND n.campaign_id = :campaign_id
      AND n.id = :id
RETURNING n.id, n.campaign_id, n.kind, n.title, n.body, n.url, n.status, n.published_at,
          n.created_at, n.updated_at, n.version;
