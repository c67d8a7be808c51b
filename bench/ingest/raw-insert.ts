/**
 * A request's events straight into the table of events, by one statement: no checks, no classification, no statistics, no source.
 * ?1 is the request's body, ?2 the client, ?3 the time in ms.
 */
export const RAW_INSERT = `INSERT INTO failures (id, client_id, event_id, content_sha256, received_at, occurred_at, model,
    conversation, response, reference, verdict, region)
  SELECT value ->> 'eventId', ?2, value ->> 'eventId', value ->> '$.conversation[0].content[0].sha256', ?3,
         value ->> 'occurredAt', value ->> 'model', value -> 'conversation', value ->> 'response', value ->> 'correction',
         'wrong', (value ->> 'task') || '/' || (value ->> 'errorType') || '/en/image'
  FROM json_each(?1, '$.events')`;

export const RAW_CLIENT = "INSERT INTO clients (id, name, report_cap, created_at) VALUES ('bench', 'bench', 1, 0)";
