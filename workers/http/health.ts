import type { Context } from "hono";
import { answers } from "../store/db.ts";
import type { AppEnv } from "./context.ts";

/** Says, without a key, whether the Worker runs and its database answers: 200 or 503. */
export async function health(c: Context<AppEnv>): Promise<Response> {
  const database = await answers(c.env.DB);
  return c.json({ ok: database, database }, database ? 200 : 503);
}
