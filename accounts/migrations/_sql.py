"""What the schema has beyond what models say. Each is a pair: to put it there, to take it away.

The baseline and the chain run the same text, see docs/architecture.md, 'Migrations'.
"""

# The chain is made at commit, so that writers wait for each other no longer than that. Fields are joined by a character
# that JSON escapes and names can't hold; times are microseconds since 1970.
SEAL = (
    """
CREATE FUNCTION trainhub_audit_hash(entry accounts_auditentry) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT encode(sha256(convert_to(concat_ws(E'\\x1f',
        entry.previous_hash, entry.place, (extract(epoch FROM entry.at) * 1000000)::bigint,
        coalesce(entry.actor_id_then::text, ''), entry.actor_name, entry.verb, entry.kind, entry.object_id, entry.name,
        entry.details), 'UTF8')), 'hex')
$$;
CREATE FUNCTION trainhub_audit_seal() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    entry accounts_auditentry;
BEGIN
    PERFORM pg_advisory_xact_lock(7319402618);
    SELECT * INTO entry FROM accounts_auditentry WHERE id = NEW.id AND place IS NULL;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    SELECT place + 1, hash INTO entry.place, entry.previous_hash
        FROM accounts_auditentry WHERE place IS NOT NULL ORDER BY place DESC LIMIT 1;
    entry.place := coalesce(entry.place, 1);
    entry.previous_hash := coalesce(entry.previous_hash, '');
    UPDATE accounts_auditentry
        SET place = entry.place, previous_hash = entry.previous_hash, hash = trainhub_audit_hash(entry)
        WHERE id = NEW.id;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER audit_seal AFTER INSERT ON accounts_auditentry
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.place IS NULL) EXECUTE FUNCTION trainhub_audit_seal();
CREATE FUNCTION trainhub_audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND OLD.place IS NULL AND NEW.place IS NOT NULL
        AND (NEW.id, NEW.at, NEW.actor_id_then, NEW.actor_name, NEW.verb, NEW.kind, NEW.object_id, NEW.name, NEW.details)
        IS NOT DISTINCT FROM
        (OLD.id, OLD.at, OLD.actor_id_then, OLD.actor_name, OLD.verb, OLD.kind, OLD.object_id, OLD.name, OLD.details)
    THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'the audit trail is only added to' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_keep BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION trainhub_audit_keep();
""",
    """
DROP TRIGGER audit_keep ON accounts_auditentry;
DROP TRIGGER audit_seal ON accounts_auditentry;
DROP FUNCTION trainhub_audit_keep;
DROP FUNCTION trainhub_audit_seal;
DROP FUNCTION trainhub_audit_hash;
""",
)
