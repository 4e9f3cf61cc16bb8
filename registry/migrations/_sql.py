"""What the schema has beyond what models say. Each is a pair: to put it there, to take it away.

The baseline and the chain run the same text, see docs/architecture.md, 'Migrations'.
"""

# A name, a deployment and a change of a name are about versions of their own model.
OF_THEIR_MODEL = (
    """
ALTER TABLE registry_modelversion ADD CONSTRAINT version_with_its_model UNIQUE (id, model_id);
ALTER TABLE registry_alias ADD CONSTRAINT alias_version_of_its_model
    FOREIGN KEY (version_id, model_id) REFERENCES registry_modelversion (id, model_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE registry_deployment ADD CONSTRAINT deployment_version_of_its_model
    FOREIGN KEY (version_id, model_id) REFERENCES registry_modelversion (id, model_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE registry_aliaschange ADD CONSTRAINT alias_change_after_of_its_model
    FOREIGN KEY (after_id, model_id) REFERENCES registry_modelversion (id, model_id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE registry_aliaschange ADD CONSTRAINT alias_change_before_of_its_model
    FOREIGN KEY (before_id, model_id) REFERENCES registry_modelversion (id, model_id) DEFERRABLE INITIALLY DEFERRED;
""",
    """
ALTER TABLE registry_aliaschange DROP CONSTRAINT alias_change_before_of_its_model;
ALTER TABLE registry_aliaschange DROP CONSTRAINT alias_change_after_of_its_model;
ALTER TABLE registry_deployment DROP CONSTRAINT deployment_version_of_its_model;
ALTER TABLE registry_alias DROP CONSTRAINT alias_version_of_its_model;
ALTER TABLE registry_modelversion DROP CONSTRAINT version_with_its_model;
""",
)
KEEP_ALIAS_CHANGES = (
    """
CREATE FUNCTION trainhub_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is only added to', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER alias_change_keep BEFORE UPDATE OR DELETE ON registry_aliaschange
    FOR EACH ROW EXECUTE FUNCTION trainhub_append_only();
""",
    """
DROP TRIGGER alias_change_keep ON registry_aliaschange;
DROP FUNCTION trainhub_append_only;
""",
)
PROMOTION_OF_ITS_MODEL = (
    """
ALTER TABLE registry_promotionrequest ADD CONSTRAINT promotion_version_of_its_model
    FOREIGN KEY (version_id, model_id) REFERENCES registry_modelversion (id, model_id) DEFERRABLE INITIALLY DEFERRED;
""",
    "ALTER TABLE registry_promotionrequest DROP CONSTRAINT promotion_version_of_its_model;",
)
KEEP_EVIDENCE = (
    """
CREATE TRIGGER promotion_evidence_keep BEFORE UPDATE OR DELETE ON registry_promotionevidence
    FOR EACH ROW EXECUTE FUNCTION trainhub_append_only();
CREATE TRIGGER approval_keep BEFORE UPDATE OR DELETE ON registry_approval
    FOR EACH ROW EXECUTE FUNCTION trainhub_append_only();
""",
    """
DROP TRIGGER approval_keep ON registry_approval;
DROP TRIGGER promotion_evidence_keep ON registry_promotionevidence;
""",
)
# An outcome is told when its prediction may soon be gone: what it is divided by is copied in that moment, whoever tells.
KEY_OF_OUTCOME = (
    """
CREATE FUNCTION trainhub_key_of_outcome() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT key INTO NEW.key FROM registry_prediction WHERE id = NEW.prediction_id;
    NEW.key := coalesce(NEW.key, '');
    RETURN NEW;
END $$;
CREATE TRIGGER outcome_takes_key BEFORE INSERT ON registry_outcome FOR EACH ROW
    WHEN (NEW.arm_id IS NOT NULL AND NEW.key = '') EXECUTE FUNCTION trainhub_key_of_outcome();
""",
    """
DROP TRIGGER outcome_takes_key ON registry_outcome;
DROP FUNCTION trainhub_key_of_outcome;
""",
)
