/** The intake half of the API as the contract states it, in memory, in Web types: it runs in Node, in workerd, and behind a page. */

type Json = Record<string, unknown>;
interface Batch {
  path: string;
  events: number;
  /** Decompressed. */
  bytes: number;
  zipped: boolean;
  atMs: number;
}

/** What one run of a scenario has brought in. */
export class Intake {
  readonly events = new Map<string, Json>();
  readonly images = new Map<string, number>();
  readonly batches: Batch[] = [];
  /** Requests by path without the hash. */
  readonly requests: string[] = [];
  imagesCameFirst = true;

  seen() {
    const { batches, requests, imagesCameFirst } = this;
    return {
      events: [...this.events.values()],
      images: Object.fromEntries(this.images),
      batches,
      requests,
      imagesCameFirst,
    };
  }

  async answer(request: Request, path: string, misbehave: Misbehaviour): Promise<Response> {
    const zipped = request.headers.get("content-encoding") === "gzip";
    const raw = request.body ?? new Blob([]).stream();
    const body = new Uint8Array(await new Response(zipped ? raw.pipeThrough(gunzip()) : raw).arrayBuffer());
    this.requests.push(path.replace(/[0-9a-f]{64}$/, ""));
    const events = /\/(failures|pairs)$/.test(path) ? (JSON.parse(textOf(body)).events as Json[]) : [];
    if (events.length > 0)
      this.batches.push({ path, events: events.length, bytes: body.length, zipped, atMs: Date.now() });
    const turn = this.requests.filter((one) => one === this.requests.at(-1)).length;
    const store = () => Response.json({ results: events.map((event) => this.#store(event)) });
    const bad = misbehave({ path, request, events, bytes: body.length, zipped, turn, store });
    if (bad) return bad;
    if (path === "/v1/images/missing") {
      const { sha256 } = JSON.parse(textOf(body)) as { sha256: string[] };
      return Response.json({ missing: sha256.filter((name) => !this.images.has(name)) });
    }
    return request.method === "PUT" ? this.#keep(path.slice(-64), body) : store();
  }

  async #keep(name: string, body: Uint8Array<ArrayBuffer>): Promise<Response> {
    const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    const hash = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
    if (hash !== name) return failure(422);
    this.images.set(name, body.length);
    return Response.json({ sha256: name }, { status: 201 });
  }

  #store(event: Json): Json {
    const eventId = String(event.eventId);
    const known = this.events.get(eventId);
    if (event.response === "")
      return { eventId, status: "invalid", problems: [{ path: "response", message: "too short" }] };
    if (known) return { eventId, status: JSON.stringify(known) === JSON.stringify(event) ? "duplicate" : "conflict" };
    this.events.set(eventId, event);
    const named = JSON.stringify(event.conversation ?? []).match(/[0-9a-f]{64}/g) ?? [];
    this.imagesCameFirst &&= named.every((name) => this.images.has(name));
    return { eventId, status: "stored" };
  }
}

interface Asked {
  path: string;
  request: Request;
  events: Json[];
  bytes: number;
  zipped: boolean;
  /** 1 for the first request of its path. */
  turn: number;
  store: () => Response;
}
/** Answers in the API's place, or not. */
export type Misbehaviour = (asked: Asked) => Response | undefined | Promise<Response>;

/** Answers that say nothing about the fate of the events, or about others. */
const LIES: ((events: Json[]) => string)[] = [
  () => "",
  () => "{",
  () => "null",
  () => "[]",
  () => '{"results":7}',
  (events) => resultsOf(events.slice(1), ({ eventId }) => ({ eventId, status: "stored" })),
  (events) => resultsOf([...events, ...events], ({ eventId }) => ({ eventId, status: "stored" })),
  (events) => resultsOf(events, ({ eventId }) => ({ eventId, status: "lost" })),
  (events) => resultsOf(events, ({ eventId }) => ({ eventId })),
  (events) => resultsOf(events, () => ({ eventId: null, status: "stored" })),
  (events) => resultsOf(events, () => ({ eventId: "another", status: "stored" })),
  (events) => resultsOf(events, () => null),
];

function resultsOf(events: Json[], result: (event: Json) => unknown): string {
  return JSON.stringify({ results: events.map(result) });
}

const isEvents = ({ events }: Asked) => events.length > 0;

/** By name, so that a page can ask for one by its address. */
export const MISBEHAVIOURS = {
  none: () => undefined,
  "500 at first": ({ turn }) => (turn <= 2 ? failure(500) : undefined),
  "503 at first": ({ turn }) => (turn <= 2 ? failure(503) : undefined),
  "429 at first": ({ turn }) => (turn === 1 ? failure(429, { "retry-after": "1" }) : undefined),
  "404 at first": ({ turn }) => (turn <= 2 ? failure(404) : undefined),
  "a redirect at first": ({ turn, path }) => (turn === 1 ? failure(302, { location: path }) : undefined),
  "lies at first": ({ turn, events }) => {
    const lie = LIES[turn - 1];
    return lie && new Response(lie(events));
  },
  "an endless answer at first": ({ turn }) => (turn === 1 ? new Response(endless()) : undefined),
  "no answer at first": ({ turn }) => (turn === 1 ? new Promise<Response>(() => {}) : undefined),
  "stored, but the answer is cut at first": (asked) =>
    asked.turn === 1 && isEvents(asked) ? cut(asked.store()) : undefined,
  "no gzip": ({ zipped }) => (zipped ? failure(415) : undefined),
  "a poisoned event": ({ events }) => (events.some(({ response }) => response === "poison") ? failure(400) : undefined),
  "bodies above 20 kB": ({ bytes }) => (bytes > 20_000 ? failure(413) : undefined),
  "images refused": ({ request }) => (request.method === "PUT" ? failure(422) : undefined),
  "queued for later": ({ events }) =>
    events.length > 0
      ? Response.json({ results: events.map(({ eventId }) => ({ eventId, status: "queued" })) })
      : undefined,
  "always 500": () => failure(500),
  "always 401": () => failure(401),
  "always 403": () => failure(403),
  "stale token": ({ request }) => (request.headers.get("authorization") === "Bearer nmt_1" ? failure(401) : undefined),
} satisfies Record<string, Misbehaviour>;
export type MisbehaviourName = keyof typeof MISBEHAVIOURS;

/** One API per run: `/run/ID/MISBEHAVIOUR/v1/...`; `/run/ID/seen` says what came. */
export class Intakes {
  readonly #runs = new Map<string, Intake>();

  async answer(request: Request): Promise<Response> {
    const [, id = "", name = "", path = ""] = /^\/run\/([^/]+)\/([^/]+)(.*)$/.exec(new URL(request.url).pathname) ?? [];
    const run = this.#runs.get(id) ?? new Intake();
    this.#runs.set(id, run);
    if (name === "seen") return Response.json(run.seen());
    const misbehave: Misbehaviour | undefined = MISBEHAVIOURS[decodeURIComponent(name) as MisbehaviourName];
    return misbehave ? run.answer(request, path, misbehave) : failure(404);
  }
}

function failure(status: number, headers: Record<string, string> = {}): Response {
  return Response.json({ error: { code: "any", message: "", requestId: "" } }, { status, headers });
}

function endless(): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (controller) => controller.enqueue(new Uint8Array(65_536).fill(32)) });
}

/** The first bytes, then, when they have arrived, a broken connection: browsers repeat by themselves what broke without a byte. */
function cut(answer: Response): Response {
  let pulls = 0;
  const body = new ReadableStream({
    async pull(controller) {
      pulls += 1;
      if (pulls === 1) return controller.enqueue(new Uint8Array(await answer.arrayBuffer()).slice(0, 12));
      await new Promise((resolve) => setTimeout(resolve, 50));
      controller.error(new Error("cut"));
    },
  });
  return new Response(body);
}

function gunzip(): ReadableWritablePair<Uint8Array<ArrayBuffer>, Uint8Array<ArrayBuffer>> {
  return new DecompressionStream("gzip") as unknown as ReadableWritablePair<
    Uint8Array<ArrayBuffer>,
    Uint8Array<ArrayBuffer>
  >;
}

function textOf(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes);
}
