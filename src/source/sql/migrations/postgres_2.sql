CREATE TABLE {table}_usage (
    key_id TEXT COLLATE "C" NOT NULL,
    hour BIGINT NOT NULL,
    uses BIGINT NOT NULL,
    PRIMARY KEY (key_id, hour)
);
CREATE INDEX {table}_usage_by_hour ON {table}_usage (hour);
CREATE TABLE {table}_audit (
    id TEXT COLLATE "C" PRIMARY KEY NOT NULL,
    at BIGINT NOT NULL,
    action TEXT NOT NULL,
    outcome TEXT NOT NULL,
    key_id TEXT COLLATE "C",
    user_id TEXT COLLATE "C",
    organization_id TEXT COLLATE "C",
    event TEXT NOT NULL
);
CREATE INDEX {table}_audit_by_key ON {table}_audit (key_id, id) WHERE key_id IS NOT NULL;
CREATE INDEX {table}_audit_by_user ON {table}_audit (user_id, id) WHERE user_id IS NOT NULL;
CREATE INDEX {table}_audit_by_organization ON {table}_audit (organization_id, id) WHERE organization_id IS NOT NULL;
