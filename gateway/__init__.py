"""A PostgreSQL gateway that reads, judges and records each statement, and holds the destructive ones for people.

client          gateway                         reviewer            target
  |  startup, token  |                              |                  |
  |----------------->|  verify token, judge target  |                  |
  |                  |------------------------------------ startup, SCRAM ->|
  |  SELECT ...      |  ALLOW: record, forward      |                  |
  |----------------->|-------------------------------------------------->|
  |<----------------- rows, masked on the way ---------------------------|
  |  DELETE ...      |  HOLD: nothing is forwarded  |                  |
  |----------------->|----------- card ------------>|                  |
  |<- NoticeResponse |                              |                  |
  |                  |<---------- Approve ----------|                  |
  |                  |  record, forward the held bytes ---------------->|
  |<----------------- CommandComplete -----------------------------------|
  |                  |--- card: executed, n rows -->|                  |
"""
