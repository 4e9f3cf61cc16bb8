"""How things stand, read from the tables: one small module for each kind of rule. None remembers anything."""
