import { randomUUID } from "node:crypto";
import { hex, timeOrderedId } from "../../scripts/workload/ids.ts";
import { draftReport } from "../../scripts/workload/reports.ts";
import { seeded, seedFor } from "../../shared/edits/random.ts";

/** What the events of a cell look like. */
export interface Shape {
  readonly eventsPerRequest: number;
  /** `time` ids grow (UUID version 7), `random` ones do not (version 4). */
  readonly ids: "time" | "random";
  /** Without it the Worker has to find task, error type and language. */
  readonly tagged: boolean;
}

/** Events that show one image. */
const EVENTS_PER_IMAGE = 4;
/** Different bodies per connection, for requests with few events: every kind of report has its turn. */
const EVENTS_PER_CONNECTION = 24;
const IMAGE_CHARS = 64;

/** A request made beforehand, and where its events hold what changes from request to request. */
interface Body {
  readonly bytes: Buffer;
  readonly events: readonly { readonly id: number; readonly image: number; readonly time: number }[];
}

/** The bodies of one connection. One of them is in flight at a time, so its buffer may be written again after the answer. */
export class Bodies {
  readonly #bodies: readonly Body[];
  readonly #shape: Shape;
  readonly #random: () => number;
  #next = 0;
  #serial: number;
  #image = "";

  /** @param lane number of the connection, below 4096; no two of one store may be the same within one `epoch` */
  constructor(shape: Shape, lane: number, epoch: number) {
    this.#shape = shape;
    this.#random = seeded(seedFor(lane, String(epoch)));
    this.#serial = lane * 2 ** 32;
    const count = Math.max(1, Math.floor(EVENTS_PER_CONNECTION / shape.eventsPerRequest));
    this.#bodies = Array.from({ length: count }, (_, index) => this.#make(lane * count + index));
  }

  /** The next request, its events new: other ids, images and times. */
  next(): Buffer {
    const body = this.#bodies[this.#next++ % this.#bodies.length] as Body;
    const now = Date.now();
    for (const at of body.events) {
      const serial = this.#serial++;
      if (serial % EVENTS_PER_IMAGE === 0 || this.#image === "") this.#image = hex(IMAGE_CHARS, this.#random);
      const id = this.#shape.ids === "time" ? timeOrderedId(now, serial, this.#random) : randomUUID();
      body.bytes.write(id, at.id, "latin1");
      body.bytes.write(this.#image, at.image, "latin1");
      body.bytes.write(String(now), at.time, "latin1");
    }
    return body.bytes;
  }

  /** All is ASCII, so that a character's place in the text is its place in the bytes. */
  #make(seed: number): Body {
    const time = Date.now();
    const image = hex(IMAGE_CHARS, this.#random);
    const eventId = randomUUID();
    const places: { id: number; image: number; time: number }[] = [];
    let text = '{"events":[';
    for (let index = 0; index < this.#shape.eventsPerRequest; index++) {
      const { task, errorType, language, ...untagged } = draftReport(seed + index, this.#random, image, time);
      const tags = this.#shape.tagged ? { task, errorType, language } : {};
      const event = JSON.stringify({ eventId, ...untagged, ...tags });
      if (index > 0) text += ",";
      const find = (part: string) => text.length + event.indexOf(part);
      places.push({ id: find(eventId), image: find(image), time: find(String(time)) });
      text += event;
    }
    return { bytes: Buffer.from(`${text}]}`, "latin1"), events: places };
  }
}
