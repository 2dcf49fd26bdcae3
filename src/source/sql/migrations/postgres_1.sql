CREATE TABLE {table} (
    id TEXT COLLATE "C" PRIMARY KEY,
    digest TEXT COLLATE "C" NOT NULL UNIQUE,
    name TEXT NOT NULL,
    key_start TEXT,
    user_id TEXT COLLATE "C",
    organization_id TEXT COLLATE "C",
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    disabled BOOLEAN NOT NULL DEFAULT FALSE,
    revoked_at BIGINT,
    rotated_at BIGINT,
    replaced_by TEXT,
    last_used_at BIGINT,
    last_used_ip TEXT,
    use_count BIGINT NOT NULL DEFAULT 0,
    version BIGINT NOT NULL DEFAULT 0,
    details TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX {table}_by_age ON {table} (created_at, id);
CREATE INDEX {table}_by_user ON {table} (user_id, created_at, id) WHERE user_id IS NOT NULL;
CREATE INDEX {table}_by_organization ON {table} (organization_id, created_at, id) WHERE organization_id IS NOT NULL;
CREATE TABLE {table}_schema (version BIGINT PRIMARY KEY);
