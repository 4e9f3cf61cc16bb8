"""What the schema has beyond what models say. Each is a pair: to put it there, to take it away.

The baseline and the chain run the same text, see docs/architecture.md, 'Migrations'.
"""

# The items of each label are counted as they come and go, so that no list of classes counts a million rows.
# An UPDATE of labels is counted by `datasets.items.edits`, the only place that makes one.
COUNT_LABELS = (
    """
CREATE FUNCTION datasets_count_labels_in() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO datasets_labelcount (dataset_id, label, count)
    SELECT dataset_id, label, count(*) FROM added GROUP BY dataset_id, label ORDER BY dataset_id, label
    ON CONFLICT (dataset_id, label) DO UPDATE SET count = datasets_labelcount.count + excluded.count;
    RETURN NULL;
END $$;

CREATE FUNCTION datasets_count_labels_out() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE datasets_labelcount AS known SET count = known.count - gone.items
    FROM (SELECT dataset_id, label, count(*) AS items FROM removed GROUP BY dataset_id, label) AS gone
    WHERE known.dataset_id = gone.dataset_id AND known.label = gone.label;
    DELETE FROM datasets_labelcount
    WHERE count <= 0 AND dataset_id IN (SELECT DISTINCT dataset_id FROM removed);
    RETURN NULL;
END $$;

CREATE TRIGGER datasets_item_labels_in AFTER INSERT ON datasets_item
REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION datasets_count_labels_in();

CREATE TRIGGER datasets_item_labels_out AFTER DELETE ON datasets_item
REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION datasets_count_labels_out();
""",
    """
DROP TRIGGER datasets_item_labels_out ON datasets_item;
DROP TRIGGER datasets_item_labels_in ON datasets_item;
DROP FUNCTION datasets_count_labels_out();
DROP FUNCTION datasets_count_labels_in();
""",
)
