import { Animation } from "./apng.ts";
import { crc32 } from "./crc32.ts";
import { inflatedBytes } from "./inflate.ts";
import { Reader } from "./reader.ts";
import { checkSize, damaged, type Measured, Refused, type Size } from "./refusal.ts";

/** What compressed profiles and texts may unpack to, in all. */
const EXTRAS_INFLATED_BYTES = 4_000_000;
/** Compressed profiles and texts in one file. */
const MAX_EXTRAS = 100;
const MAX_PALETTE_BYTES = 3 * 256;

/** Samples a pixel and allowed bits a sample by colour type (W3C PNG, 11.2.1). */
const COLOUR_TYPES: ReadonlyMap<number, { readonly samples: number; readonly depths: readonly number[] }> = new Map([
  [0, { samples: 1, depths: [1, 2, 4, 8, 16] }],
  [2, { samples: 3, depths: [8, 16] }],
  [3, { samples: 1, depths: [1, 2, 4, 8] }],
  [4, { samples: 2, depths: [8, 16] }],
  [6, { samples: 4, depths: [8, 16] }],
]);
const INDEXED = 3;

/** Start and step of each pass of an interlaced image (W3C PNG, 8.1). */
const ADAM7 = [
  { x: 0, y: 0, dx: 8, dy: 8 },
  { x: 4, y: 0, dx: 8, dy: 8 },
  { x: 0, y: 4, dx: 4, dy: 8 },
  { x: 2, y: 0, dx: 4, dy: 4 },
  { x: 0, y: 2, dx: 2, dy: 4 },
  { x: 1, y: 0, dx: 2, dy: 2 },
  { x: 0, y: 1, dx: 1, dy: 2 },
];
const WHOLE = [{ x: 0, y: 0, dx: 1, dy: 1 }];

interface Header extends Size {
  readonly colourType: number;
  readonly bitsPerPixel: number;
  readonly interlaced: boolean;
}

interface Chunk {
  readonly type: string;
  readonly data: Uint8Array;
}

/** Walks a PNG or an animated one from its first chunk to IEND, with every CRC and the size of what is compressed. */
export function checkPng(reader: Reader): Measured {
  reader.skip(8);
  const png = new Png(readHeader(nextChunk(reader)));
  for (let chunk = nextChunk(reader); chunk.type !== "IEND"; chunk = nextChunk(reader)) png.add(chunk);
  return png.finish();
}

/** A chunk that is not critical has a small first letter: whoever does not know it passes over it. */
function nextChunk(reader: Reader): Chunk {
  const length = reader.u32be();
  const typeAndData = reader.take(4 + length);
  const type = new Reader(typeAndData).latin1(4);
  if (!/^[A-Za-z]{4}$/.test(type)) throw damaged("a chunk has no proper type");
  if (reader.u32be() !== crc32(typeAndData)) throw damaged(`the CRC of a chunk ${type} is wrong`);
  return { type, data: typeAndData.subarray(4) };
}

function readHeader({ type, data }: Chunk): Header {
  if (type !== "IHDR" || data.length !== 13) throw damaged("it does not begin with a chunk IHDR");
  const reader = new Reader(data);
  const size = { width: reader.u32be(), height: reader.u32be() };
  checkSize(size);
  const [depth, colourType] = [reader.u8(), reader.u8()];
  const colours = COLOUR_TYPES.get(colourType);
  const [compression, filter, interlace] = [reader.u8(), reader.u8(), reader.u8()];
  if (!colours?.depths.includes(depth) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw damaged("its chunk IHDR names no kind of PNG there is");
  }
  return { ...size, colourType, bitsPerPixel: colours.samples * depth, interlaced: interlace === 1 };
}

class Png {
  readonly #header: Header;
  readonly #data: Uint8Array[] = [];
  #hasPalette = false;
  #hasOtherAfterData = false;
  #animation: Animation | null = null;
  #extras = 0;
  #extrasBytes = 0;

  constructor(header: Header) {
    this.#header = header;
  }

  /** @throws {Refused} for a chunk that does not fit the ones before it */
  add({ type, data }: Chunk): void {
    if (type === "IDAT") {
      if (this.#hasOtherAfterData) throw damaged("its chunks IDAT do not follow one another");
      this.#data.push(data);
      return;
    }
    this.#hasOtherAfterData = this.#data.length > 0;
    switch (type) {
      case "PLTE":
        this.#addPalette(data);
        break;
      case "iCCP":
      case "zTXt":
      case "iTXt":
        this.#addExtra(type, data);
        break;
      case "acTL":
        if (this.#animation || this.#data.length > 0) throw damaged("its chunk acTL is not in its place");
        this.#animation = new Animation(data, this.#header);
        break;
      case "fcTL":
        this.#animation?.beginFrame(data, this.#data.length > 0);
        break;
      case "fdAT":
        this.#animation?.addData(data);
        break;
      default:
        if (/^[A-Z]/.test(type)) throw damaged(`a chunk ${type} has no place there`);
    }
  }

  finish(): Measured {
    const { width, height } = this.#header;
    if (this.#data.length === 0) throw damaged("it has no chunk IDAT");
    if (this.#header.colourType === INDEXED && !this.#hasPalette) throw damaged("it has no palette");
    checkScanlines(this.#data, this.#header, this.#header);
    const frames = this.#animation?.finish((data, size) => checkScanlines(data, size, this.#header)) ?? 1;
    return { width, height, frames };
  }

  #addPalette(data: Uint8Array): void {
    const isPalette = data.length > 0 && data.length <= MAX_PALETTE_BYTES && data.length % 3 === 0;
    if (this.#hasPalette || this.#data.length > 0 || !isPalette) throw damaged("its palette is none");
    this.#hasPalette = true;
  }

  #addExtra(type: string, data: Uint8Array): void {
    const compressed = type === "iTXt" ? compressedText(data) : afterKeyword(data, 1);
    if (!compressed) return;
    this.#extras += 1;
    if (this.#extras > MAX_EXTRAS) {
      throw new Refused("too-large", `it has more than ${MAX_EXTRAS} compressed profiles and texts`);
    }
    this.#extrasBytes += inflatedBytes(compressed, EXTRAS_INFLATED_BYTES - this.#extrasBytes);
    if (this.#extrasBytes > EXTRAS_INFLATED_BYTES) {
      throw new Refused("too-large", `its profiles and texts unpack to more than ${EXTRAS_INFLATED_BYTES} bytes`);
    }
  }
}

/** What stands behind a keyword, its zero byte and the compression method (W3C PNG, 11.3.2.3 and 11.3.3.3). */
function afterKeyword(data: Uint8Array, fieldBytes: number): Uint8Array {
  const reader = new Reader(data);
  reader.seek(0);
  reader.skip(1 + fieldBytes);
  return reader.take(reader.left);
}

/** The compressed part of international text, or null when it is not compressed (W3C PNG, 11.3.3.4). */
function compressedText(data: Uint8Array): Uint8Array | null {
  const reader = new Reader(afterKeyword(data, 0));
  const isCompressed = reader.u8() === 1;
  reader.skip(1);
  for (const _ of ["language tag", "translated keyword"]) {
    reader.seek(0);
    reader.skip(1);
  }
  return isCompressed ? reader.take(reader.left) : null;
}

/** Unpacked, the data must be the scanlines of this size: each a filter byte and its pixels, rounded up to whole bytes. */
function checkScanlines(data: readonly Uint8Array[], { width, height }: Size, header: Header): void {
  let bytes = 0;
  for (const pass of header.interlaced ? ADAM7 : WHOLE) {
    const columns = Math.ceil((width - pass.x) / pass.dx);
    const rows = Math.ceil((height - pass.y) / pass.dy);
    if (columns > 0 && rows > 0) bytes += rows * (1 + Math.ceil((columns * header.bitsPerPixel) / 8));
  }
  const found = inflatedBytes(join(data), bytes);
  if (found > bytes) throw new Refused("too-large", `it unpacks to more than the ${bytes} bytes of its pixels`);
  if (found < bytes) throw damaged(`it unpacks to ${found} of the ${bytes} bytes of its pixels`);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  const [only] = parts;
  if (only && parts.length === 1) return only;
  const whole = new Uint8Array(parts.reduce((bytes, part) => bytes + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
