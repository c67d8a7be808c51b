import { crc32, deflateSync } from "node:zlib";
import { expect } from "vitest";
import { checkImage } from "../../workers/ingest/image-check/index.ts";
import { IMAGE_FIXTURES } from "./image-fixtures.ts";

/** Images made byte by byte, to say what no encoder would write. */

export function fixtureBytes(name: string): Uint8Array<ArrayBuffer> {
  const found = IMAGE_FIXTURES.find((fixture) => fixture.name === name);
  if (!found) throw new Error(`there is no fixture ${name}`);
  return found.bytes;
}

export function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

export function joined(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

export function u16le(value: number): number[] {
  return [value & 255, value >>> 8];
}
export function u24le(value: number): number[] {
  return [value & 255, (value >>> 8) & 255, value >>> 16];
}
export function u32be(value: number): number[] {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}
export function u32le(value: number): number[] {
  return u32be(value).reverse();
}

export const PNG_SIGNATURE = latin1("\x89PNG\r\n\x1a\n");
export const IEND = pngChunk("IEND", []);

export function pngChunk(type: string, data: Uint8Array | readonly number[]): Uint8Array<ArrayBuffer> {
  const typed = Buffer.concat([latin1(type), Uint8Array.from(data)]);
  return Uint8Array.from(
    Buffer.concat([Uint8Array.from(u32be(data.length)), typed, Uint8Array.from(u32be(crc32(typed)))]),
  );
}

/** Colour type 0 is grey, 2 RGB, 3 indexed, 4 grey and 6 RGB with transparency. */
export function ihdr(width: number, height: number, { depth = 8, colour = 0, interlace = 0 } = {}): Uint8Array {
  return pngChunk("IHDR", [...u32be(width), ...u32be(height), depth, colour, 0, 0, interlace]);
}

/** Zeros that unpack to so many bytes. */
export function packed(bytes: number): Uint8Array {
  return deflateSync(new Uint8Array(bytes));
}

export function idat(bytes: number): Uint8Array {
  return pngChunk("IDAT", packed(bytes));
}

/** A grey image of 4 x 2 pixels, with other chunks between its header and its pixels. */
export function smallPng(...chunks: Uint8Array[]): Uint8Array {
  return joined(PNG_SIGNATURE, ihdr(4, 2), ...chunks, idat(10), IEND);
}

export function riffChunk(type: string, data: Uint8Array | readonly number[]): Uint8Array {
  return joined(latin1(type), u32le(data.length), data, data.length % 2 === 1 ? [0] : []);
}

export function webp(...chunks: Uint8Array[]): Uint8Array {
  const body = joined(latin1("WEBP"), ...chunks);
  return joined(latin1("RIFF"), u32le(body.length), body);
}

export function expectRefused(bytes: Uint8Array, kind: "unsupported" | "damaged" | "too-large", reason: string): void {
  expect(checkImage(bytes)).toEqual({ kind, reason: expect.stringContaining(reason) });
}
