-- The audit log: each decision's place in its model's chain, and the hashes that link it (`driftsonde audit verify`).
ALTER TABLE decisions
    ADD COLUMN IF NOT EXISTS sequence UInt64 DEFAULT 0,
    ADD COLUMN IF NOT EXISTS previous String DEFAULT '',
    ADD COLUMN IF NOT EXISTS hash String DEFAULT '';
