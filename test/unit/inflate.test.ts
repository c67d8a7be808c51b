import { constants, deflateSync, inflateRawSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { inflatedBytes } from "../../workers/ingest/image-check/inflate.ts";
import { Refused } from "../../workers/ingest/image-check/refusal.ts";

const { Z_DEFAULT_STRATEGY, Z_FILTERED, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE } = constants;

/** Bytes of few values repeat, so that every kind of block and distance is used. */
const content = fc
  .tuple(fc.array(fc.uint8Array({ minLength: 1, maxLength: 300, max: 255 }), { maxLength: 12 }), fc.nat(40))
  .map(([parts, repeats]) => Buffer.concat([...parts, ...parts, Buffer.alloc(repeats * 100, parts[0] ?? 0), ...parts]));
const options = fc.record({
  level: fc.integer({ min: 0, max: 9 }),
  strategy: fc.constantFrom(Z_DEFAULT_STRATEGY, Z_FILTERED, Z_FIXED, Z_HUFFMAN_ONLY, Z_RLE),
  windowBits: fc.integer({ min: 9, max: 15 }),
});

/** What the data unpacks to, or null when it is refused. */
function sizeOf(data: Uint8Array, maxBytes = 1e9): number | null {
  try {
    return inflatedBytes(data, maxBytes);
  } catch (error) {
    if (error instanceof Refused && error.kind === "damaged") return null;
    throw error;
  }
}

describe("the size of what zlib packed", () => {
  test("is known without unpacking it, however it was packed", () => {
    fc.assert(
      fc.property(content, options, (bytes, how) => {
        expect(sizeOf(deflateSync(bytes, how))).toBe(bytes.length);
      }),
      { numRuns: 300 },
    );
  });

  test("is followed up to the limit and no further", () => {
    const bomb = deflateSync(new Uint8Array(50_000_000));
    expect(sizeOf(bomb, 50_000_000)).toBe(50_000_000);
    const stoppedAt = sizeOf(bomb, 1_000) ?? 0;
    expect(stoppedAt).toBeGreaterThan(1_000);
    expect(stoppedAt).toBeLessThan(1_000 + 65_536);
    // Behind the limit even nonsense is not looked at.
    expect(sizeOf(bomb.fill(0xff, 1_000), 1_000)).toBe(stoppedAt);
  });

  test("is refused when the data is cut off anywhere or goes on", () => {
    fc.assert(
      fc.property(
        content,
        options,
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (bytes, how, share) => {
          const data = deflateSync(bytes, how);
          expect(sizeOf(data.subarray(0, Math.floor(share * data.length)))).toBeNull();
          expect(sizeOf(Buffer.concat([data, Buffer.from([0])]))).toBeNull();
        },
      ),
      { numRuns: 300 },
    );
  });

  test("is what zlib finds, when changed data can still be unpacked; and no error escapes", () => {
    let unpacked = 0;
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(content, options, changes, (bytes, how, changed) => {
        const data = deflateSync(bytes, how);
        for (const [at, byte] of changed) data[2 + (at % (data.length - 2))] = byte;
        const size = sizeOf(data, 100_000);
        if (size === null || size > 100_000) return;
        unpacked += 1;
        expect(inflateRawSync(data.subarray(2)).length).toBe(size);
      }),
      { numRuns: 3_000 },
    );
    expect(unpacked).toBeGreaterThan(100);
  });

  test("of any bytes behind a proper beginning is a number or refused", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (tail) => {
        const data = new Uint8Array([0x78, 0x9c, ...tail]);
        const size = sizeOf(data, 100_000);
        if (size !== null && size <= 100_000) expect(inflateRawSync(data.subarray(2)).length).toBe(size);
      }),
      { numRuns: 5_000 },
    );
  });
});

test("data that is cut into very many blocks with codes of their own is refused, since they cost more than their bytes", () => {
  // An empty block of this kind, which is not the last, takes 11 bytes less a bit; whole bytes need eight of them.
  const block: number[] = [];
  const put = (value: number, count: number) => {
    for (let bit = 0; bit < count; bit++) block.push((value >> bit) & 1);
  };
  put(0, 1);
  put(2, 2);
  put(0, 10); // 257 literals and one distance
  put(14, 4); // 18 code lengths, in their order: 18 takes one bit, 0 and 1 two
  for (const symbol of [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1]) {
    put(symbol === 18 ? 1 : symbol === 0 || symbol === 1 ? 2 : 0, 3);
  }
  put(0, 1);
  put(127, 7); // 138 zeros
  put(0, 1);
  put(107, 7); // 118 zeros
  put(3, 2); // the end of the block has a code of one bit
  put(1, 2); // no distances
  put(0, 1); // the end of the block
  const packed = (blocks: number) => {
    const bits = Array.from({ length: blocks }, () => block).flat();
    bits.push(1, 1, 0, 0, 0, 0, 0, 0, 0, 0); // a last block with the fixed code, empty
    const bytes = new Uint8Array(2 + Math.ceil(bits.length / 8) + 4);
    bytes.set([0x78, 0x9c]);
    for (const [at, bit] of bits.entries()) bytes[2 + (at >> 3)] = (bytes[2 + (at >> 3)] ?? 0) | (bit << (at & 7));
    return bytes;
  };
  expect(sizeOf(packed(900))).toBe(0);
  expect(inflateRawSync(packed(5_000).subarray(2)).length).toBe(0);
  expect(sizeOf(packed(5_000))).toBeNull();
});
