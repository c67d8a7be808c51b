import { API_LIMITS } from "./events.ts";
import { type Images, memoryOf, type NamedImage, placeImages, readImage, sha256Of } from "./images.ts";
import { BadEvent, type Json } from "./snapshot.ts";

const OPENING = new TextEncoder().encode('{"events":[');
const CLOSING = new TextEncoder().encode("]}");
const COMMA = ",".charCodeAt(0);
const FRAME_BYTES = OPENING.length + CLOSING.length;
/** Images of an event, those of its video too. */
const IMAGES_MAX = API_LIMITS.imagesPerEvent + API_LIMITS.framesPerEvent;

/** One event on its way: its JSON text, and its images as far as their bytes were given. */
export interface Waiting {
  readonly id: string;
  text: Uint8Array;
  readonly images: readonly NamedImage[];
  /** Bytes of memory that it takes. */
  readonly memory: number;
  /** On its way from a page that is being left. */
  left: boolean;
}

/** @throws {BadEvent} when the API could never take it */
export function waitingEvent(id: string, event: { [key: string]: Json }, given: Images): Waiting {
  const images = placeImages(event, given);
  if (images.length > IMAGES_MAX) throw new BadEvent(`${images.length} images, the limit is ${IMAGES_MAX}`);
  const text = new TextEncoder().encode(JSON.stringify(event));
  const limit = API_LIMITS.intakeBytes - FRAME_BYTES;
  if (text.length > limit) throw new BadEvent(`${text.length} bytes, the limit is ${limit}`);
  const memory = images.reduce((sum, image) => sum + memoryOf(image.source), text.length);
  return { id, text, images, memory, left: false };
}

/**
 * Computes the hashes of images that came without, and writes them into the event.
 * @throws when an image can not be read, or this page is not a secure context
 */
export async function nameImages(event: Waiting): Promise<void> {
  for (const image of event.images) {
    if (image.isNamed) continue;
    image.source = await readImage(image.source);
    const name = await sha256Of(image.source);
    // The stand-in is as long as the hash and as random as a key: it occurs where it was put, and nowhere else.
    event.text = new TextEncoder().encode(new TextDecoder().decode(event.text).replaceAll(image.name, name));
    image.name = name;
    image.isNamed = true;
  }
}

/** The first events that fit together into one request of at most `bytes`. */
export function fitting(events: readonly Waiting[], bytes: number): Waiting[] {
  let size = FRAME_BYTES;
  let count = 0;
  for (const event of events) {
    size += event.text.length + (count > 0 ? 1 : 0);
    if (size > bytes || count === API_LIMITS.eventsPerRequest) break;
    count += 1;
  }
  return events.slice(0, count);
}

export function requestBody(events: readonly Waiting[]): Uint8Array<ArrayBuffer> {
  const size = events.reduce((sum, event) => sum + event.text.length + 1, FRAME_BYTES - 1);
  const body = new Uint8Array(size);
  body.set(OPENING);
  let at = OPENING.length;
  for (const [index, event] of events.entries()) {
    if (index > 0) body[at++] = COMMA;
    body.set(event.text, at);
    at += event.text.length;
  }
  body.set(CLOSING, at);
  return body;
}
