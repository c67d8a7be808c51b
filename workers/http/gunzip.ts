import { readAll } from "./stream.ts";

/** Deflate packs a thousand to one at best: before the count is looked at, a slice unpacks to 34 MB at most. */
const SLICE_BYTES = 32_768;

/**
 * Unpacks gzip, but no more than `maxBytes`. The decompressor takes whatever it is given and keeps what it makes of it, so a
 * slice is given only when all that came of the one before is read: a small body cannot fill the memory.
 */
export async function gunzip(packed: Uint8Array, maxBytes: number): Promise<Uint8Array | "damaged" | "too large"> {
  const { readable, writable } = new DecompressionStream("gzip");
  const progress = { chunks: 0, ended: false };
  const reading = readAll(readable, maxBytes, () => {
    progress.chunks += 1;
  }).finally(() => {
    progress.ended = true;
  });
  // What is wrong with the bytes comes out at both ends: the reading end tells.
  const feeding = feed(writable, packed, progress).catch(() => {});
  try {
    const [bytes] = await Promise.all([reading, feeding]);
    return bytes ?? "too large";
  } catch {
    return "damaged";
  }
}

interface Progress {
  readonly chunks: number;
  readonly ended: boolean;
}

async function feed(writable: WritableStream, packed: Uint8Array, progress: Progress): Promise<void> {
  const writer = writable.getWriter();
  for (let at = 0; at < packed.byteLength && !progress.ended; at += SLICE_BYTES) {
    if (at > 0) await allRead(progress);
    await writer.write(packed.subarray(at, at + SLICE_BYTES));
  }
  await writer.close();
}

/** Waits for a turn of the event loop in which nothing came out. */
async function allRead(progress: Progress): Promise<void> {
  let before: number;
  do {
    before = progress.chunks;
    await new Promise((resume) => setTimeout(resume, 0));
  } while (progress.chunks !== before);
}
