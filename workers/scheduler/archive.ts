import { z } from "zod";
import type { Env } from "../env.ts";

/** Characters of a tick's inputs or plan that stay in its row; D1 takes rows of 2 MB. */
const ROW_CHARS = 450_000;

const blobName = z.strictObject({ blob: z.string() });

/**
 * What a tick's row holds of a large text: the text, or the name of the blob where it stands. Text and hash decide the name, so
 * storing it again is the same as once.
 */
export async function toRow(env: Pick<Env, "BLOBS">, text: string, sha256: string): Promise<string> {
  if (text.length <= ROW_CHARS) return text;
  const blob = `ticks/${sha256}.json`;
  await env.BLOBS.put(blob, text, { sha256, httpMetadata: { contentType: "application/json" } });
  return JSON.stringify({ blob });
}

/** The text that `toRow` was given. */
export async function fromRow(env: Pick<Env, "BLOBS">, row: string): Promise<string> {
  const name = blobName.safeParse(JSON.parse(row));
  if (!name.success) return row;
  const object = await env.BLOBS.get(name.data.blob);
  if (!object) throw new Error(`the blob ${name.data.blob} is missing`);
  return object.text();
}
