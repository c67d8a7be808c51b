import { Reader } from "./reader.ts";
import { damaged } from "./refusal.ts";

/**
 * Measures what zlib data unpacks to, without unpacking it: only lengths are followed, so that a bomb costs the time to
 * read its few bytes and no memory. The checksum at the end, which needs the content, is not compared.
 */

const MAX_CODE_BITS = 15;
const END_OF_BLOCK = 256;
const LENGTH_CODES = 29;
const DISTANCE_CODES = 30;
const CHECKSUM_BYTES = 4;
/**
 * Blocks that bring their own codes cost far more than their bytes. No encoder makes them this small: the codes alone take
 * about as much, and a fixed code is there for short blocks.
 */
const MIN_CODED_BLOCK_BYTES = 64;
const FREE_CODED_BLOCKS = 1_000;
/** In which order the lengths of the code length code stand (RFC 1951, 3.2.7). */
const CODE_LENGTH_ORDER = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/**
 * Bytes that the whole of `data` unpacks to (RFC 1950, RFC 1951). It stops above `maxBytes`: a greater number says only that.
 * @throws {Refused} `damaged` for data that cannot be unpacked or that goes on after its end
 */
export function inflatedBytes(data: Uint8Array, maxBytes: number): number {
  const reader = new Reader(data);
  const header = reader.u16be();
  const [method, windowBits, dictionary] = [(header >> 8) & 15, (header >> 12) + 8, header & 0x20];
  if (header % 31 !== 0 || method !== 8 || windowBits > 15 || dictionary) throw broken();
  const bits = new Bits(reader);
  let codedBlocks = FREE_CODED_BLOCKS + data.length / MIN_CODED_BLOCK_BYTES;
  let bytes = 0;
  for (let isLast = false; !isLast; ) {
    isLast = bits.take(1) === 1;
    const kind = bits.take(2);
    if (kind === 2 && --codedBlocks < 0) throw damaged("its compressed data is cut into too many blocks");
    bytes = inflateBlock(kind, bits, bytes, maxBytes);
    if (bytes > maxBytes) return bytes;
  }
  bits.align();
  reader.skip(CHECKSUM_BYTES);
  if (reader.left > 0) throw broken();
  return bytes;
}

/** @returns the bytes unpacked up to the end of this block */
function inflateBlock(kind: number, bits: Bits, bytes: number, maxBytes: number): number {
  switch (kind) {
    case 0:
      return bytes + skipStored(bits);
    case 1:
      return inflateCodes(bits, FIXED_CODES, bytes, maxBytes);
    case 2:
      return inflateCodes(bits, readCodes(bits), bytes, maxBytes);
    default:
      throw broken();
  }
}

function skipStored(bits: Bits): number {
  const reader = bits.align();
  const length = reader.u16le();
  if ((length ^ reader.u16le()) !== 0xffff) throw broken();
  reader.skip(length);
  return length;
}

interface Codes {
  readonly literals: Huffman;
  readonly distances: Huffman;
}

function inflateCodes(bits: Bits, { literals, distances }: Codes, before: number, maxBytes: number): number {
  let bytes = before;
  while (bytes <= maxBytes) {
    const symbol = literals.next(bits);
    if (symbol === END_OF_BLOCK) break;
    if (symbol < END_OF_BLOCK) {
      bytes += 1;
      continue;
    }
    const length = readLength(bits, symbol - END_OF_BLOCK - 1);
    if (readDistance(bits, distances.next(bits)) > bytes) throw broken();
    bytes += length;
  }
  return bytes;
}

/** 3 to 10 one by one, then four codes to each number of extra bits, and the last for 258 (RFC 1951, 3.2.5). */
function readLength(bits: Bits, code: number): number {
  if (code >= LENGTH_CODES) throw broken();
  if (code === LENGTH_CODES - 1) return 258;
  if (code < 8) return 3 + code;
  const extra = (code >> 2) - 1;
  return 3 + ((4 + (code & 3)) << extra) + bits.take(extra);
}

/** 1 to 4 one by one, then two codes to each number of extra bits. */
function readDistance(bits: Bits, code: number): number {
  if (code >= DISTANCE_CODES) throw broken();
  if (code < 4) return 1 + code;
  const extra = (code >> 1) - 1;
  return 1 + ((2 + (code & 1)) << extra) + bits.take(extra);
}

/** The two codes of a block that brings its own (RFC 1951, 3.2.7). */
function readCodes(bits: Bits): Codes {
  const literals = bits.take(5) + 257;
  const distances = bits.take(5) + 1;
  const ordered = new Uint8Array(CODE_LENGTH_ORDER.length);
  const sent = bits.take(4) + 4;
  for (const symbol of CODE_LENGTH_ORDER.slice(0, sent)) ordered[symbol] = bits.take(3);
  const lengths = readLengths(bits, new Huffman(ordered), literals + distances);
  if (lengths[END_OF_BLOCK] === 0) throw broken();
  return { literals: new Huffman(lengths.subarray(0, literals)), distances: new Huffman(lengths.subarray(literals)) };
}

function readLengths(bits: Bits, code: Huffman, count: number): Uint8Array {
  const lengths = new Uint8Array(count);
  for (let at = 0; at < count; ) {
    const symbol = code.next(bits);
    if (symbol < 16) {
      lengths[at++] = symbol;
      continue;
    }
    if (symbol === 16 && at === 0) throw broken();
    const value = symbol === 16 ? (lengths[at - 1] ?? 0) : 0;
    const repeat = symbol === 16 ? 3 + bits.take(2) : symbol === 17 ? 3 + bits.take(3) : 11 + bits.take(7);
    if (at + repeat > count) throw broken();
    lengths.fill(value, at, at + repeat);
    at += repeat;
  }
  return lengths;
}

/** A canonical Huffman code, read a bit at a time (RFC 1951, 3.2.2). */
class Huffman {
  readonly #symbols: Uint16Array;
  /** How many codes have each length in bits. */
  readonly #counts = new Uint16Array(MAX_CODE_BITS + 1);

  constructor(lengths: Uint8Array) {
    for (const length of lengths) this.#counts[length] = (this.#counts[length] ?? 0) + 1;
    this.#counts[0] = 0;
    const starts = new Uint16Array(MAX_CODE_BITS + 2);
    let unused = 1;
    for (let length = 1; length <= MAX_CODE_BITS; length++) {
      const count = this.#counts[length] ?? 0;
      unused = unused * 2 - count;
      if (unused < 0) throw broken();
      starts[length + 1] = (starts[length] ?? 0) + count;
    }
    // Only a code of one symbol, or of none, may leave bit patterns unused.
    const total = starts[MAX_CODE_BITS + 1] ?? 0;
    if (unused > 0 && (total > 1 || this.#counts[1] !== total)) throw broken();
    this.#symbols = new Uint16Array(total);
    for (const [symbol, length] of lengths.entries()) {
      const place = starts[length] ?? 0;
      if (length === 0) continue;
      this.#symbols[place] = symbol;
      starts[length] = place + 1;
    }
  }

  next(bits: Bits): number {
    let code = 0;
    let first = 0;
    let index = 0;
    for (let length = 1; length <= MAX_CODE_BITS; length++) {
      code = (code << 1) | bits.take(1);
      first <<= 1;
      const count = this.#counts[length] ?? 0;
      if (code - first < count) return this.#symbols[index + code - first] ?? 0;
      first += count;
      index += count;
    }
    throw broken();
  }
}

/** Reads bits, the lowest of each byte first. */
class Bits {
  readonly #reader: Reader;
  #held = 0;
  #count = 0;

  constructor(reader: Reader) {
    this.#reader = reader;
  }

  /** A number of up to 16 bits. */
  take(count: number): number {
    while (this.#count < count) {
      this.#held |= this.#reader.u8() << this.#count;
      this.#count += 8;
    }
    const value = this.#held & ((1 << count) - 1);
    this.#held >>>= count;
    this.#count -= count;
    return value;
  }

  /** Drops the rest of the byte that was begun, and gives the bytes after it. */
  align(): Reader {
    this.#held = 0;
    this.#count = 0;
    return this.#reader;
  }
}

function broken() {
  return damaged("its compressed data cannot be unpacked");
}

const FIXED_CODES: Codes = {
  literals: new Huffman(
    Uint8Array.from({ length: 288 }, (_, symbol) => (symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8)),
  ),
  distances: new Huffman(new Uint8Array(32).fill(5)),
};
