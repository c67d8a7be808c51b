import { API_LIMITS } from "./events.ts";
import { hex } from "./hex.ts";
import { BadEvent, type Json } from "./snapshot.ts";
import { later } from "./timers.ts";

/** The bytes of an image; text is a base64 `data:` URL. They are not copied: leave them as they are until they are sent. */
export type ImageSource = Uint8Array<ArrayBuffer> | ArrayBuffer | Blob | string;
/** Images by their SHA-256, or a list that the event refers to by index. */
export type Images = Readonly<Record<string, ImageSource>> | readonly ImageSource[];

/** An image on its way. Until its hash is known, `name` is a stand-in of the same length. */
export interface NamedImage {
  name: string;
  isNamed: boolean;
  source: ImageSource;
}

/** Characters of base64 that are decoded at a stretch, so that a large image does not hold up the host. */
const BASE64_CHARS_AT_ONCE = 1 << 18;
const SHA256 = /^[0-9a-f]{64}$/;

/**
 * The images that the event refers to; others are not sent. Indices in the event are replaced by stand-ins for the hashes.
 * @throws {BadEvent} when an image is too large, no image, or not in the list
 */
export function placeImages(event: Json, images: Images): NamedImage[] {
  const list: readonly ImageSource[] = Array.isArray(images) ? images : [];
  const placed = new Map<unknown, NamedImage>();
  for (const holder of imageHolders(event)) {
    const key = holder.sha256 ?? holder.image;
    const known = placed.get(key);
    const isIndex = holder.sha256 === undefined;
    const source = isIndex ? list[Number(holder.image)] : (images as Record<string, ImageSource>)[String(key)];
    if (source === undefined && isIndex) throw new BadEvent(`image ${Number(holder.image)} is not in the list`);
    if (source === undefined) continue;
    if (!isIndex && !SHA256.test(String(key))) throw new BadEvent("an image's name is not 64 lower-case hex digits");
    const image = known ?? { name: isIndex ? standIn() : String(key), isNamed: !isIndex, source };
    placed.set(key, image);
    if (bytesOf(source) > API_LIMITS.imageBytes) throw new BadEvent(`an image above ${API_LIMITS.imageBytes} bytes`);
    if (!isIndex) continue;
    delete holder.image;
    holder.sha256 = image.name;
  }
  return [...placed.values()];
}

/** Bytes of memory that the image takes at most. */
export function memoryOf(source: ImageSource): number {
  return typeof source === "string" ? source.length : bytesOf(source);
}

/** What can be sent. Gives the thread back between the parts of a long `data:` URL. */
export async function readImage(source: ImageSource): Promise<Uint8Array<ArrayBuffer> | Blob> {
  if (source instanceof ArrayBuffer) return new Uint8Array(source);
  if (typeof source !== "string") return source;
  const comma = source.indexOf(",");
  if (!/^data:[^,]*;base64$/i.test(source.slice(0, comma))) throw new BadEvent("an image's URL is no base64 data: URL");
  const parts: Uint8Array<ArrayBuffer>[] = [];
  for (let at = comma + 1; at < source.length; at += BASE64_CHARS_AT_ONCE) {
    if (parts.length > 0) await new Promise<void>((resolve) => later(0, resolve));
    const encoded = source.slice(at, at + BASE64_CHARS_AT_ONCE);
    const binary = atob(encoded);
    const isCut = encoded.length === BASE64_CHARS_AT_ONCE && binary.length * 4 !== encoded.length * 3;
    if (isCut && at + encoded.length < source.length) throw new BadEvent("an image's data: URL has gaps");
    parts.push(Uint8Array.from(binary, (character) => character.charCodeAt(0)));
  }
  return new Blob(parts);
}

/** Lower-case hex. */
export async function sha256Of(image: Uint8Array<ArrayBuffer> | Blob): Promise<string> {
  const bytes = image instanceof Blob ? await image.arrayBuffer() : image;
  return hex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)));
}

function bytesOf(source: ImageSource): number {
  if (typeof source === "string") return Math.floor(((source.length - source.indexOf(",") - 1) * 3) / 4);
  if (source instanceof Blob) return source.size;
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) return source.byteLength;
  throw new BadEvent("an image is neither bytes nor a Blob nor a data: URL");
}

function standIn(): string {
  return hex(crypto.getRandomValues(new Uint8Array(32)));
}

/** The image parts and video frames of an event, whatever else it holds. */
function* imageHolders(event: Json): Generator<{ [key: string]: Json }> {
  for (const turn of itemsOf(event, "conversation")) {
    for (const part of itemsOf(turn, "content")) {
      if (isRecord(part) && part.type === "image") yield part;
      if (isRecord(part) && part.type === "video") yield* itemsOf(part, "frames").filter(isRecord);
    }
  }
}

function itemsOf(value: Json, key: string): Json[] {
  const items = isRecord(value) ? value[key] : undefined;
  return Array.isArray(items) ? items : [];
}

export function isRecord(value: unknown): value is { [key: string]: Json } {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
