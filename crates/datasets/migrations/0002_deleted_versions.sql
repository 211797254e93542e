-- A deleted version keeps its row, so that its history can be told; its objects are the collector's.
ALTER TABLE dataset_versions ADD COLUMN deleted_at BIGINT;
