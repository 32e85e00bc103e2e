-- Who closed an incident, where a person did: a name and an address.
ALTER TABLE incidents ADD COLUMN closed_by TEXT;
