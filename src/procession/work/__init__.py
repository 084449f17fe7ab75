"""Who does what, and when: the rules of work items. Pure decisions; the rows live in the store."""
