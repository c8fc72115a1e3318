-- Calls in progress lie in a file of their own. Of what a caller said last nothing stays behind. A process of the version
-- before is not on the board for the rest of its calls, and says so.
PRAGMA secure_delete = ON;
DROP TABLE live;
DROP TABLE live_hosts;
PRAGMA secure_delete = OFF;

-- Nothing asks these, and every process reads what there is.
DROP INDEX flags_open;
DROP INDEX audit_by_time;
