import type { Env } from "../env.ts";
import type { Archive, EventLine } from "../store/archives.ts";

/** Where archived events lie in the blob store: gzipped NDJSON, a line is a row of `failures` with all its columns. */
export const ARCHIVE_PREFIX = "archive/failures/";

/** Writes events of one client, at least one, as a new object. */
export async function writeLines(env: Pick<Env, "BLOBS">, lines: readonly EventLine[]): Promise<Archive> {
  const times = lines.map((line) => line.received_at).sort((a, b) => a - b);
  const [first = 0, last = first] = [times[0], times.at(-1)];
  const clientId = lines[0]?.client_id ?? "";
  const blob = `${ARCHIVE_PREFIX}${clientId}/${first}-${crypto.randomUUID()}.ndjson.gz`;
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
  const stream = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  const bytes = await new Response(stream).arrayBuffer();
  await env.BLOBS.put(blob, bytes, { httpMetadata: { contentType: "application/gzip" } });
  return {
    blob,
    clientId,
    firstReceivedAt: first,
    lastReceivedAt: last,
    events: lines.length,
    bytes: bytes.byteLength,
  };
}

/** The lines of an object; none if it is gone. */
export async function readLines(env: Pick<Env, "BLOBS">, blob: string): Promise<EventLine[]> {
  const object = await env.BLOBS.get(blob);
  if (!object) return [];
  const text = await new Response(object.body.pipeThrough(new DecompressionStream("gzip"))).text();
  return text.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line) as EventLine]));
}
