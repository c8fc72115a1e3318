-- What orders the board and finds a call on it, apart from what is only shown of a call: of thousands of calls no more is read. An
-- index, so that what processes of the version before write is in it as well.
CREATE INDEX IF NOT EXISTS calls_brief ON calls (host, iif(json_valid(call), json_extract(call, '$.started_ms', '$.caller.name',
    '$.caller.number', '$.window', '$.streak', '$.low', '$.with_human', '$.ratings[#-1]', '$.alert'), NULL));
