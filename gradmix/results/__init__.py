"""Results: records of runs in, tables, figures and the report page out. Import its modules one by one."""
