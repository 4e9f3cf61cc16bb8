"""What the schema has beyond what models say. Each is a pair: to put it there, to take it away.

The baseline and the chain run the same text, see docs/architecture.md, 'Migrations'.
"""

# The function is the registry's. What happened to an alert is never written anew; it goes with its alert.
KEEP_ALERT_EVENTS = (
    """
CREATE TRIGGER alert_event_keep BEFORE UPDATE ON performance_alertevent
    FOR EACH ROW EXECUTE FUNCTION trainhub_append_only();
""",
    "DROP TRIGGER alert_event_keep ON performance_alertevent;",
)
KEEP_RETRAINING_EVENTS = (
    """
CREATE TRIGGER retraining_event_keep BEFORE UPDATE OR DELETE ON performance_retrainingevent
    FOR EACH ROW EXECUTE FUNCTION trainhub_append_only();
""",
    "DROP TRIGGER retraining_event_keep ON performance_retrainingevent;",
)
KEEP_LOOKS = (
    """
CREATE TRIGGER look_keep BEFORE UPDATE OR DELETE ON performance_look
    FOR EACH ROW EXECUTE FUNCTION trainhub_append_only();
""",
    "DROP TRIGGER look_keep ON performance_look;",
)
