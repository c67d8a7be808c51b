import { crc32, deflateSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { crc32 as ownCrc32 } from "../../workers/ingest/image-check/crc32.ts";
import { checkImage } from "../../workers/ingest/image-check/index.ts";
import {
  expectRefused,
  IEND,
  idat,
  ihdr,
  joined,
  latin1,
  PNG_SIGNATURE,
  packed,
  pngChunk,
  smallPng,
  u32be,
} from "./image-builders.ts";

const isImage = (frames = 1) => ({ kind: "image", mediaType: "image/png", width: 4, height: 2, frames });

test("the CRC is zlib's", () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => ownCrc32(bytes) === crc32(bytes)));
});

describe("the pixels of a PNG", () => {
  const kind = fc.constantFrom(
    ...[1, 2, 4, 8, 16].map((depth) => ({ colour: 0, depth, bits: depth })),
    ...[1, 2, 4, 8].map((depth) => ({ colour: 3, depth, bits: depth })),
    ...[8, 16].flatMap((depth) => [
      { colour: 2, depth, bits: 3 * depth },
      { colour: 4, depth, bits: 2 * depth },
      { colour: 6, depth, bits: 4 * depth },
    ]),
  );
  const palette = pngChunk("PLTE", [1, 2, 3]);
  const ofBytes = (width: number, height: number, how: object, bytes: number) =>
    joined(PNG_SIGNATURE, ihdr(width, height, how), palette, idat(bytes), IEND);

  test("take as many bytes as its header says: one byte less is damaged, one more is refused", () => {
    fc.assert(
      fc.property(kind, fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 40 }), (how, width, height) => {
        const bytes = height * (1 + Math.ceil((width * how.bits) / 8));
        expect(checkImage(ofBytes(width, height, how, bytes))).toMatchObject({ kind: "image", width, height });
        expectRefused(ofBytes(width, height, how, bytes - 1), "damaged", `${bytes - 1} of the ${bytes} bytes`);
        expectRefused(ofBytes(width, height, how, bytes + 1), "too-large", `more than the ${bytes} bytes`);
      }),
      { numRuns: 200 },
    );
  });

  test("are counted pass by pass when it is interlaced", () => {
    // Pixels of each pass, counted one by one on the 8 x 8 pattern of the specification.
    const pattern = ["16462646", "77777777", "56565656", "77777777", "36463646", "77777777", "56565656", "77777777"];
    const bytesOf = (width: number, height: number, bits: number) => {
      const passes = new Map<string, number>();
      for (let y = 0; y < height; y++) {
        for (let x = 0; x < width; x++) {
          const line = `${pattern[y % 8]?.[x % 8]} ${y}`;
          passes.set(line, (passes.get(line) ?? 0) + 1);
        }
      }
      return [...passes.values()].reduce((sum, pixels) => sum + 1 + Math.ceil((pixels * bits) / 8), 0);
    };
    fc.assert(
      fc.property(kind, fc.integer({ min: 1, max: 20 }), fc.integer({ min: 1, max: 20 }), (how, width, height) => {
        const bytes = bytesOf(width, height, how.bits);
        const interlaced = { ...how, interlace: 1 };
        expect(checkImage(ofBytes(width, height, interlaced, bytes))).toMatchObject({ kind: "image" });
        expectRefused(ofBytes(width, height, interlaced, bytes - 1), "damaged", "bytes of its pixels");
        expectRefused(ofBytes(width, height, interlaced, bytes + 1), "too-large", "bytes of its pixels");
      }),
      { numRuns: 200 },
    );
  });

  test("may be spread over many chunks IDAT, empty ones too", () => {
    const data = packed(10);
    const chunks = [...data].flatMap((byte) => [pngChunk("IDAT", [byte]), pngChunk("IDAT", [])]);
    expect(checkImage(joined(PNG_SIGNATURE, ihdr(4, 2), ...chunks, IEND))).toEqual(isImage());
  });

  test("may be as many and as flat as the limits allow", () => {
    expect(
      checkImage(joined(PNG_SIGNATURE, ihdr(6_000, 6_000, { colour: 2 }), idat(6_000 * 18_001), IEND)),
    ).toMatchObject({ kind: "image", width: 6_000, height: 6_000 });
  });

  test("of a bomb are not unpacked", () => {
    const bomb = joined(PNG_SIGNATURE, ihdr(4, 2), idat(50_000_000), IEND);
    expectRefused(bomb, "too-large", "more than the 10 bytes");
  });
});

describe("a header", () => {
  test.each([
    ["one side too long", LIMITS.imageSidePx + 1, 1],
    ["too many pixels", 8_000, 8_000],
    ["the greatest numbers there are", 0xffffffff, 0xffffffff],
  ])("with %s is refused before anything else is read", (_name, width, height) => {
    expectRefused(joined(PNG_SIGNATURE, ihdr(width, height)), "too-large", `${width} x ${height} pixels`);
  });

  test.each([
    ["no width", ihdr(0, 2)],
    ["no height", ihdr(4, 0)],
    ["three bits a sample", ihdr(4, 2, { depth: 3 })],
    ["a palette of 16 bits", ihdr(4, 2, { depth: 16, colour: 3 })],
    ["an unknown colour type", ihdr(4, 2, { colour: 5 })],
    ["an unknown interlacing", ihdr(4, 2, { interlace: 2 })],
    ["another length", pngChunk("IHDR", new Uint8Array(14))],
    ["another chunk in its place", idat(10)],
  ])("with %s is damaged", (_name, header) => {
    expect(checkImage(joined(PNG_SIGNATURE, header, idat(10), IEND)).kind).toBe("damaged");
  });
});

describe("chunks that do not fit together are refused:", () => {
  const other = pngChunk("teXt", [1]);
  const png = (...chunks: Uint8Array[]) => joined(PNG_SIGNATURE, ...chunks);
  test.each([
    ["no IDAT", png(ihdr(4, 2), IEND), "no chunk IDAT"],
    ["no IEND", png(ihdr(4, 2), idat(10)), "cut off"],
    ["IDAT in two places", png(ihdr(4, 2), idat(10), other, pngChunk("IDAT", []), IEND), "do not follow one another"],
    ["two headers", smallPng(ihdr(4, 2)), "a chunk IHDR has no place there"],
    ["a critical chunk that nobody knows", smallPng(pngChunk("CgBI", [])), "a chunk CgBI has no place there"],
    ["a type that is no word", smallPng(pngChunk("te t", [])), "no proper type"],
    ["no palette for its colours", png(ihdr(4, 2, { colour: 3 }), idat(10), IEND), "no palette"],
    ["two palettes", smallPng(pngChunk("PLTE", [1, 2, 3]), pngChunk("PLTE", [1, 2, 3])), "palette"],
    ["a palette of four bytes", smallPng(pngChunk("PLTE", [1, 2, 3, 4])), "palette"],
    ["a palette of 257 colours", smallPng(pngChunk("PLTE", new Uint8Array(771))), "palette"],
    ["a length beyond the end", png(ihdr(4, 2), Uint8Array.from(u32be(0xffffffff)), latin1("IDAT")), "cut off"],
    ["IDAT that is no zlib data", png(ihdr(4, 2), pngChunk("IDAT", [1, 2, 3, 4]), IEND), "cannot be unpacked"],
  ])("%s", (_name, bytes, reason) => {
    expectRefused(bytes, "damaged", reason);
  });

  test("while unknown ones that are not critical may stand anywhere", () => {
    expect(checkImage(png(ihdr(4, 2), other, idat(10), other, other, IEND))).toEqual(isImage());
  });
});

describe("compressed profiles and texts", () => {
  const extras = {
    iCCP: (data: Uint8Array) => pngChunk("iCCP", joined(latin1("name\0\0"), data)),
    zTXt: (data: Uint8Array) => pngChunk("zTXt", joined(latin1("name\0\0"), data)),
    iTXt: (data: Uint8Array) => pngChunk("iTXt", joined(latin1("name\0\x01\0en\0Name\0"), data)),
  };

  test.each(Object.entries(extras))("%s may unpack to 4 MB and not to more", (_name, extra) => {
    expect(checkImage(smallPng(extra(packed(4_000_000))))).toEqual(isImage());
    expectRefused(smallPng(extra(packed(4_000_001))), "too-large", "profiles and texts unpack to more");
    expectRefused(smallPng(extra(packed(3_000_000)), extra(packed(1_000_001))), "too-large", "unpack to more");
    expectRefused(smallPng(extra(packed(10).slice(0, -1))), "damaged", "cut off");
    expectRefused(smallPng(pngChunk(_name, latin1("no end of the keyword"))), "damaged", "cut off");
  });

  test("are at most 100", () => {
    const chunks = (count: number) => Array.from({ length: count }, () => extras.zTXt(packed(1)));
    expect(checkImage(smallPng(...chunks(100)))).toEqual(isImage());
    expectRefused(smallPng(...chunks(101)), "too-large", "more than 100");
  });

  test("do not count when they are not compressed", () => {
    const plain = pngChunk("iTXt", latin1("name\0\0\0en\0Name\0just words"));
    expect(checkImage(smallPng(...Array.from({ length: 101 }, () => plain)))).toEqual(isImage());
  });
});

describe("an animated PNG", () => {
  const acTL = (frames: number) => pngChunk("acTL", [...u32be(frames), ...u32be(0)]);
  const fcTL = (sequence: number, [x, y, width, height] = [0, 0, 4, 2]) =>
    pngChunk("fcTL", [sequence, width ?? 0, height ?? 0, x ?? 0, y ?? 0].flatMap(u32be).concat([0, 1, 0, 10, 0, 0]));
  const fdAT = (sequence: number, data: Uint8Array = packed(10)) => pngChunk("fdAT", [...u32be(sequence), ...data]);
  const png = (...chunks: Uint8Array[]) => joined(PNG_SIGNATURE, ihdr(4, 2), ...chunks, IEND);

  test("has the frames that it tells of, each complete", () => {
    const part = deflateSync(new Uint8Array(3));
    const bytes = png(acTL(3), fcTL(0), idat(10), fcTL(1), fdAT(2), fcTL(3, [2, 1, 2, 1]), fdAT(4, part));
    expect(checkImage(bytes)).toEqual(isImage(3));
  });

  test("may show something else to those who know no animation", () => {
    expect(checkImage(png(acTL(1), idat(10), fcTL(0), fdAT(1)))).toEqual(isImage(1));
  });

  test.each([
    ["fewer frames", png(acTL(2), fcTL(0), idat(10)), "1 of 2 frames"],
    ["more frames", png(acTL(1), fcTL(0), idat(10), fcTL(1), fdAT(2)), "more frames than"],
    ["no frames", png(acTL(0), idat(10)), "0 of 0 frames"],
    ["a frame outside it", png(acTL(1), idat(10), fcTL(0, [1, 0, 4, 2]), fdAT(1)), "outside the image"],
    ["a frame far outside it", png(acTL(1), idat(10), fcTL(0, [0xffffffff, 0, 2, 1]), fdAT(1)), "outside the image"],
    ["a frame without pixels", png(acTL(1), idat(10), fcTL(0, [0, 0, 0, 2]), fdAT(1)), "outside the image"],
    ["a first frame that is not all of it", png(acTL(1), fcTL(0, [0, 0, 2, 2]), idat(10)), "not the whole image"],
    ["two first frames", png(acTL(2), fcTL(0), fcTL(1), idat(10)), "not the whole image"],
    ["frames out of order", png(acTL(2), fcTL(0), idat(10), fcTL(2), fdAT(1)), "not in order"],
    ["a frame without data", png(acTL(1), idat(10), fcTL(0)), "cut off"],
    ["a frame with half its data", png(acTL(1), idat(10), fcTL(0), fdAT(1, packed(9))), "9 of the 10 bytes"],
    ["data of no frame", png(acTL(1), fdAT(0), idat(10)), "belongs to no frame"],
    ["data of the first frame in the wrong chunk", png(acTL(1), fcTL(0), fdAT(1), idat(10)), "belongs to no frame"],
    ["two controls", png(acTL(1), acTL(1), fcTL(0), idat(10)), "not in its place"],
    ["its control behind the pixels", png(idat(10), acTL(1)), "not in its place"],
  ])("is refused with %s", (_name, bytes, reason) => {
    expectRefused(bytes, "damaged", reason);
  });

  test("is refused when a frame is a bomb", () => {
    const bytes = png(acTL(1), idat(10), fcTL(0), fdAT(1, packed(50_000_000)));
    expectRefused(bytes, "too-large", "more than the 10 bytes");
  });

  test("is refused with more frames, or more pixels in all frames, than are taken", () => {
    const { imageFrames, imagePixels } = LIMITS;
    expectRefused(png(acTL(imageFrames + 1), idat(10)), "too-large", `more than ${imageFrames} frames`);
    const large = joined(PNG_SIGNATURE, ihdr(1_000, 1_000), acTL(imagePixels / 1_000_000 + 1), idat(1), IEND);
    expectRefused(large, "too-large", `41 or more frames of 1000 x 1000 pixels`);
  });

  test("is none without its control: the other chunks then mean nothing", () => {
    expect(checkImage(png(fcTL(7), idat(10), fdAT(9)))).toEqual(isImage(1));
  });
});
