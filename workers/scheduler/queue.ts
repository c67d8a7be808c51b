import type { EditMessage, Env } from "../env.ts";
import { describeError, logEvent } from "../http/log.ts";

/** Jobs that one message wakes the editor for. */
const JOBS_PER_MESSAGE = 100;
/** What a queue takes as one message, and as one call. */
const MESSAGE_BYTES = 128_000;
const SEND_BYTES = 256_000;
const MESSAGES_PER_SEND = 100;

/**
 * Wakes the editor for these jobs. A job that is not enqueued is not lost: it stays a row, and the sweep finds it.
 * @returns how many jobs were enqueued
 */
export async function wakeEditor(env: Pick<Env, "EDIT_QUEUE">, jobIds: readonly string[]): Promise<number> {
  let enqueued = 0;
  for (const send of packSends(packMessages(jobIds))) {
    try {
      await env.EDIT_QUEUE.sendBatch(send.map((body) => ({ body })));
      enqueued += send.reduce((jobs, message) => jobs + message.jobs.length, 0);
    } catch (error) {
      logEvent("enqueue-failed", { jobs: jobIds.length - enqueued, ...describeError(error) });
      break;
    }
  }
  return enqueued;
}

/** Messages of at most `JOBS_PER_MESSAGE` jobs and `MESSAGE_BYTES`. */
export function packMessages(jobIds: readonly string[]): EditMessage[] {
  return pack(jobIds, { items: JOBS_PER_MESSAGE, bytes: MESSAGE_BYTES - bytesOf({ jobs: [] }) }).map((jobs) => ({
    jobs,
  }));
}

function packSends(messages: readonly EditMessage[]): EditMessage[][] {
  return pack(messages, { items: MESSAGES_PER_SEND, bytes: SEND_BYTES });
}

function pack<T>(items: readonly T[], limit: { readonly items: number; readonly bytes: number }): T[][] {
  const packs: T[][] = [];
  let room = 0;
  for (const item of items) {
    const size = bytesOf(item) + 1;
    if (size > limit.bytes) throw new RangeError(`an item of ${size} bytes does not fit into ${limit.bytes}`);
    const last = packs.at(-1);
    if (last && last.length < limit.items && size <= room) {
      last.push(item);
      room -= size;
    } else {
      packs.push([item]);
      room = limit.bytes - size;
    }
  }
  return packs;
}

function bytesOf(value: unknown): number {
  return new TextEncoder().encode(JSON.stringify(value)).byteLength;
}
