-- Niches: the fields of interest that brands and influencers share, the same for all tenants.
-- depends: 0001.create-tenants

SET LOCAL lock_timeout = '4s';

CREATE TABLE app.niches (
    id          uuid        NOT NULL DEFAULT gen_random_uuid(),
    name        text        NOT NULL,
    icon        text,
    description text,
    is_active   boolean     NOT NULL DEFAULT true,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    version     integer     NOT NULL DEFAULT 1,
    CONSTRAINT niches_pkey PRIMARY KEY (id),
    CONSTRAINT niches_name_key UNIQUE (name),
    CONSTRAINT niches_name_check CHECK (char_length(name) BETWEEN 1 AND 200)
);
COMMENT ON TABLE app.niches IS 'Shared reference data: every tenant reads it, the platform writes it.';
COMMENT ON CONSTRAINT niches_pkey ON app.niches IS 'niches.find, and the associations of brands and influencers.';
COMMENT ON CONSTRAINT niches_name_key ON app.niches IS 'A niche exists once; the seed''s upsert.';
COMMENT ON CONSTRAINT niches_name_check ON app.niches IS 'Names have 1 to 200 characters.';
CREATE INDEX niches_created_at_idx ON app.niches (created_at DESC, id DESC);
COMMENT ON INDEX app.niches_created_at_idx IS 'Page order of niches.page.';
CREATE TRIGGER touch BEFORE UPDATE ON app.niches
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION app.touch_shared();
GRANT SELECT ON app.niches TO quarry_app, quarry_platform;
GRANT INSERT (name, icon, description, is_active),
      UPDATE (name, icon, description, is_active),
      DELETE ON app.niches TO quarry_platform;
