BEGIN TRANSACTION;
CREATE TABLE attempts (
    id TEXT NOT NULL, epoch INTEGER NOT NULL, started_at TEXT NOT NULL, PRIMARY KEY (id, epoch)
) WITHOUT ROWID;
INSERT INTO "attempts" VALUES('done',1,'2026-01-01T12:00:02.000250+00:00');
INSERT INTO "attempts" VALUES('failed',1,'2026-01-01T12:00:02.000250+00:00');
INSERT INTO "attempts" VALUES('failed',2,'2026-01-01T12:00:06.000250+00:00');
INSERT INTO "attempts" VALUES('running',1,'2026-01-01T12:00:08.000250+00:00');
INSERT INTO "attempts" VALUES('running',3,'2026-01-01T12:00:20.000250+00:00');
INSERT INTO "attempts" VALUES('twin',1,'2026-01-01T12:00:07.000250+00:00');
CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO "meta" VALUES('life','3');
INSERT INTO "meta" VALUES('schema','1');
CREATE TABLE outcomes (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL);
INSERT INTO "outcomes" VALUES(1,'done','{"id":"done","key":"0000000000000000000000000000000000000000000000000000000000000001","tool":"mock_md","tool_version":"1","status":"ok","inputs":{"duration_s":1.5,"seed":3},"result":{"steps":10},"error":null,"director":0,"partition":["node1","node2"],"host":"node1","worker":"node1/0","accelerator":null,"attempts":1,"submitted_at":"2026-01-01T12:00:00.000250Z","started_at":"2026-01-01T12:00:03.000250Z","finished_at":"2026-01-01T12:00:05.000250Z","artifacts":{},"reused_from":null,"versions":{"md-director":"0.1.0"}}');
INSERT INTO "outcomes" VALUES(2,'failed','{"id":"failed","key":"00000000000000000000000000000000000000000000000000000000000001bc","tool":"mock_md","tool_version":"1","status":"failed","inputs":{"duration_s":1.5,"seed":3},"result":null,"error":{"type":"ToolError","message":"it blew up","hint":"take smaller steps","details":{}},"director":0,"partition":["node1","node2"],"host":"node1","worker":"node1/0","accelerator":null,"attempts":2,"submitted_at":"2026-01-01T12:00:00.000250Z","started_at":"2026-01-01T12:00:07.000250Z","finished_at":"2026-01-01T12:00:09.000250Z","artifacts":{},"reused_from":null,"versions":{"md-director":"0.1.0"}}');
INSERT INTO "outcomes" VALUES(3,'twin','{"id":"twin","key":"0000000000000000000000000000000000000000000000000000000000000001","tool":"mock_md","tool_version":"1","status":"ok","inputs":{"duration_s":1.5,"seed":3},"result":{"steps":10},"error":null,"director":0,"partition":["node1","node2"],"host":"node1","worker":"node1/0","accelerator":null,"attempts":2,"submitted_at":"2026-01-01T12:00:00.000250Z","started_at":"2026-01-01T12:00:19.000250Z","finished_at":"2026-01-01T12:00:21.000250Z","artifacts":{},"reused_from":null,"versions":{"md-director":"0.1.0"}}');
CREATE TABLE requests (
    seq INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL,
    tool_version TEXT NOT NULL,
    body TEXT NOT NULL,
    submitted_at TEXT NOT NULL,
    epoch INTEGER NOT NULL DEFAULT 0
);
INSERT INTO "requests" VALUES(1,'done','0000000000000000000000000000000000000000000000000000000000000001','1','{"id":"done","tool":"mock_md","inputs":{"duration_s":1.5,"seed":3},"files":{}}','2026-01-01T12:00:00.000250+00:00',1);
INSERT INTO "requests" VALUES(2,'failed','00000000000000000000000000000000000000000000000000000000000001bc','1','{"id":"failed","tool":"mock_md","inputs":{"duration_s":1.5,"seed":3},"files":{}}','2026-01-01T12:00:00.000250+00:00',2);
INSERT INTO "requests" VALUES(3,'twin','0000000000000000000000000000000000000000000000000000000000000001','1','{"id":"twin","tool":"mock_md","inputs":{"duration_s":1.5,"seed":3},"files":{}}','2026-01-01T12:00:01.000250+00:00',2);
INSERT INTO "requests" VALUES(4,'running','00000000000000000000000000000000000000000000000000000000000003d8','1','{"id":"running","tool":"mock_md","inputs":{"duration_s":1.5,"seed":3},"files":{}}','2026-01-01T12:00:07.000250+00:00',3);
INSERT INTO "requests" VALUES(5,'waiting','0000000000000000000000000000000000000000000000000000000000000055','1','{"id":"waiting","tool":"mock_md","inputs":{"duration_s":1.5,"seed":3},"files":{}}','2026-01-01T12:00:07.000250+00:00',1);
COMMIT;
