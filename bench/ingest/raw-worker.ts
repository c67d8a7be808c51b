import { RAW_INSERT } from "./raw-insert.ts";

interface Env {
  readonly DB: {
    prepare(sql: string): { bind(...values: unknown[]): { run(): Promise<{ meta: { changes: number } }> } };
  };
}

/** The least a Worker can do to store a request's events in D1 before it answers. */
export default {
  async fetch(request: Request, { DB }: Env): Promise<Response> {
    const { meta } = await DB.prepare(RAW_INSERT)
      .bind(await request.text(), "bench", Date.now())
      .run();
    return Response.json({ stored: meta.changes });
  },
};
