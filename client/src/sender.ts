import { type Connection, Refused, Unsent } from "./connection.ts";
import { API_LIMITS } from "./events.ts";
import { isRecord, type NamedImage, readImage } from "./images.ts";
import { type Ledger, STATUSES, type Status } from "./ledger.ts";
import { nameImages, requestBody, type Waiting } from "./waiting.ts";

const JSON_TYPE = "application/json";
/** Hashes remembered as stored, so that they are not asked for again. */
const KNOWN_IMAGES_MAX = 10_000;

/** Called once for each event whose fate is known. */
export type Land = (event: Waiting, status: Status) => void;

/** Batches to the API: missing images first, then the events. */
export class Sender {
  readonly #connection: Connection;
  readonly #ledger: Ledger;
  readonly #known = new Set<string>();

  constructor(connection: Connection, ledger: Ledger) {
    this.#connection = connection;
    this.#ledger = ledger;
  }

  /** Sends the batch. @throws {Unsent} when the fate of some of it is not known */
  async send(path: string, events: readonly Waiting[], land: Land): Promise<void> {
    const named = await this.#name(events, land);
    await this.#sendImages(named.flatMap((event) => event.images));
    await this.#sendEvents(path, named, land, false);
  }

  /** Sends the batch without its images, in this very turn of the event loop. @throws {Unsent} as `send` */
  async sendAtOnce(path: string, events: readonly Waiting[], land: Land): Promise<void> {
    await this.#sendEvents(path, events, land, true);
  }

  get bytesAtOnce(): number {
    return this.#connection.bytesAtOnce;
  }

  /** True when the API has all its images. */
  isIllustrated(event: Waiting): boolean {
    return event.images.every((image) => image.isNamed && this.#known.has(image.name));
  }

  /** The events without those whose images can not be read: what they are about is not known. */
  async #name(events: readonly Waiting[], land: Land): Promise<Waiting[]> {
    const named: Waiting[] = [];
    for (const event of events) {
      try {
        await nameImages(event);
        named.push(event);
      } catch (error) {
        land(event, "invalid");
        this.#ledger.tell({ what: "invalid", eventId: event.id, message: `an image has no hash: ${nameOf(error)}` });
      }
    }
    return named;
  }

  async #sendEvents(path: string, events: readonly Waiting[], land: Land, atOnce: boolean): Promise<void> {
    const [first] = events;
    if (!first) return;
    let answer: Record<string, unknown>;
    try {
      const body = requestBody(events);
      answer = await this.#connection.request({ method: "POST", path, body, mediaType: JSON_TYPE, atOnce });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (events.length === 1) return this.#land(first, { status: "invalid", why: error.message }, land);
      // Halving finds the one that is to blame, and saves the others.
      const middle = Math.ceil(events.length / 2);
      await this.#sendEvents(path, events.slice(0, middle), land, atOnce);
      return this.#sendEvents(path, events.slice(middle), land, atOnce);
    }
    const verdicts = readVerdicts(answer, events);
    for (const [index, event] of events.entries()) this.#land(event, verdicts[index], land);
  }

  #land(event: Waiting, verdict: Verdict | undefined, land: Land): void {
    if (!verdict) return;
    land(event, verdict.status);
    const { status, why } = verdict;
    if (status === "invalid" || status === "conflict") {
      this.#ledger.tell({ what: status, eventId: event.id, message: `the API answered ${status}: ${why}` });
    }
  }

  async #sendImages(images: readonly NamedImage[]): Promise<void> {
    const asked = new Map(images.filter(({ name }) => !this.#known.has(name)).map((image) => [image.name, image]));
    const names = [...asked.keys()];
    for (let begin = 0; begin < names.length; begin += API_LIMITS.missingHashesPerRequest) {
      const chunk = names.slice(begin, begin + API_LIMITS.missingHashesPerRequest);
      for (const name of await this.#missing(chunk)) {
        const image = asked.get(name);
        if (image) await this.#sendImage(image);
      }
      this.#remember(chunk);
    }
  }

  async #missing(sha256: readonly string[]): Promise<string[]> {
    const body = new Blob([JSON.stringify({ sha256 })]);
    const path = "/v1/images/missing";
    const { missing } = await this.#connection.request({ method: "POST", path, body, mediaType: JSON_TYPE });
    if (Array.isArray(missing) && missing.every((name) => typeof name === "string")) return missing;
    throw new Unsent("the answer does not say which images are missing");
  }

  /** An image that can not be read, or that the API refuses, does not hold back its event. */
  async #sendImage({ name, source }: NamedImage): Promise<void> {
    try {
      const body = await readImage(source);
      const path = `/v1/images/${name}`;
      await this.#connection.request({ method: "PUT", path, body, mediaType: "application/octet-stream" });
      this.#ledger.count("images");
    } catch (error) {
      if (error instanceof Unsent) throw error;
      this.#ledger.tell({ what: "image", message: `image ${name} is not sent: ${nameOf(error)}` });
    }
  }

  #remember(names: readonly string[]): void {
    for (const name of names) this.#known.add(name);
    for (const oldest of this.#known) {
      if (this.#known.size <= KNOWN_IMAGES_MAX) break;
      this.#known.delete(oldest);
    }
  }
}

interface Verdict {
  status: Status;
  why: string;
}

/** One verdict per event, in order. @throws {Unsent} for an answer that says anything else */
function readVerdicts({ results }: Record<string, unknown>, events: readonly Waiting[]): Verdict[] {
  const nonsense = new Unsent("the answer does not say what became of each event");
  if (!Array.isArray(results) || results.length !== events.length) throw nonsense;
  return events.map(({ id }, index) => {
    const result: unknown = results[index];
    if (!isRecord(result)) throw nonsense;
    const status = STATUSES.find((one) => one === result.status);
    const isAbout = result.eventId === id || (result.eventId === null && status === "invalid");
    if (!status || !isAbout) throw nonsense;
    return { status, why: readProblems(result.problems) };
  });
}

function readProblems(problems: unknown): string {
  const listed = Array.isArray(problems) ? problems.filter(isRecord) : [];
  return listed.map(({ path, message }) => `${path} ${message}`).join("; ");
}

function nameOf(error: unknown): string {
  return error instanceof Error && error.message ? error.message : "unreadable";
}
