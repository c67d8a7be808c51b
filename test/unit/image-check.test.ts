import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { checkImage } from "../../workers/ingest/image-check/index.ts";
import { expectRefused, latin1 } from "./image-builders.ts";
import { IMAGE_FIXTURES } from "./image-fixtures.ts";

const NLVR_PATH = fileURLToPath(String(new URL("../../../shared/data/nlvr/dev/images/0", import.meta.url)));
const REAL_IMAGES = 200;

describe.each(IMAGE_FIXTURES)("$name", ({ bytes, name: _, ...expected }) => {
  const image = { kind: "image", ...expected };

  test("is recognised, with its size and its frames", () => {
    expect(checkImage(bytes)).toEqual(image);
  });

  test("is refused wherever it is cut off", () => {
    for (let length = 0; length < bytes.length; length++) {
      expect(checkImage(bytes.subarray(0, length)).kind, `cut to ${length} bytes`).toMatch(/^(unsupported|damaged)$/);
    }
  });

  test("with any bytes changed, it is an image within the limits or there is a reason why not", () => {
    const change = fc.tuple(fc.nat(bytes.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const spoilt = bytes.slice();
        for (const [at, byte] of changes) spoilt[at] = byte;
        const check = checkImage(spoilt);
        if (check.kind !== "image") {
          expect(check.reason).toMatch(/^The body .+\.$/);
          return;
        }
        expect(Math.min(check.width, check.height, check.frames)).toBeGreaterThanOrEqual(1);
        expect(Math.max(check.width, check.height)).toBeLessThanOrEqual(LIMITS.imageSidePx);
        expect(check.width * check.height * check.frames).toBeLessThanOrEqual(LIMITS.imagePixels);
        expect(check.frames).toBeLessThanOrEqual(LIMITS.imageFrames);
      }),
      { numRuns: 1_000 },
    );
  });

  test("with bytes taken out or put in, nothing is thrown", () => {
    const place = fc.nat(bytes.length);
    fc.assert(
      fc.property(place, fc.nat(40), fc.uint8Array({ maxLength: 40 }), (at, removed, added) => {
        const spoilt = new Uint8Array([...bytes.subarray(0, at), ...added, ...bytes.subarray(at + removed)]);
        expect(["image", "unsupported", "damaged", "too-large"]).toContain(checkImage(spoilt).kind);
      }),
      { numRuns: 500 },
    );
  });

  test("inside a larger buffer, only its own bytes are read", () => {
    const buffer = new Uint8Array(bytes.length + 64).fill(0xff);
    buffer.set(bytes, 32);
    expect(checkImage(buffer.subarray(32, 32 + bytes.length))).toEqual(image);
    expect(checkImage(buffer.subarray(32, 31 + bytes.length)).kind).toBe("damaged");
  });

  test("may be followed by a little padding, and by no more than that", () => {
    const tolerated = expected.mediaType === "image/jpeg" ? 65_536 : 16;
    const followed = (count: number) => new Uint8Array(bytes.length + count);
    for (const [count, result] of [
      [tolerated, image],
      [tolerated + 1, { kind: "damaged", reason: expect.stringContaining(`${tolerated + 1} bytes follow its end`) }],
    ] as const) {
      const padded = followed(count);
      padded.set(bytes);
      expect(checkImage(padded)).toEqual(result);
    }
  });
});

test.each(IMAGE_FIXTURES.filter(({ mediaType }) => mediaType === "image/png"))(
  "$name: one changed byte, whichever, is noticed",
  ({ bytes }) => {
    const spoilt = bytes.slice();
    for (let at = 0; at < bytes.length; at++) {
      for (const bit of [1, 0x20, 0x80]) {
        spoilt[at] = (bytes[at] ?? 0) ^ bit;
        expect(checkImage(spoilt).kind, `byte ${at}`).not.toBe("image");
      }
      spoilt[at] = bytes[at] ?? 0;
    }
  },
);

test("of any bytes behind any beginning there is an answer", () => {
  const beginnings = [
    "\x89PNG\r\n\x1a\n",
    "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR",
    "\xff\xd8\xff",
    "GIF89a\x01\0\x01\0\0\0\0",
    "RIFF\x40\0\0\0WEBPVP8X",
    "RIFF\x40\0\0\0WEBPVP8 ",
    "",
  ];
  fc.assert(
    fc.property(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 120 }), (beginning, tail) => {
      expect(["unsupported", "damaged", "too-large", "image"]).toContain(
        checkImage(new Uint8Array([...latin1(beginning), ...tail])).kind,
      );
    }),
    { numRuns: 5_000 },
  );
});

test.each([
  ["nothing", ""],
  ["text", "hello"],
  ["a page", "<html><script>alert(1)</script></html>"],
  ["SVG", '<svg xmlns="http://www.w3.org/2000/svg"/>'],
  ["BMP", "BM\x46\0\0\0\0\0\0\0"],
  ["AVIF", "\0\0\0\x20ftypavif"],
  ["sound in a RIFF file", "RIFF\x24\0\0\0WAVEfmt "],
])("%s is no image", (_name, text) => {
  expectRefused(latin1(text), "unsupported", "none of PNG, JPEG, GIF and WebP");
});

describe.skipIf(!existsSync(NLVR_PATH))("real images (skipped where ../shared/data/nlvr is absent)", () => {
  test(`the first ${REAL_IMAGES} of NLVR are taken whole and refused cut`, () => {
    const names = readdirSync(NLVR_PATH)
      .filter((name) => name.endsWith(".png"))
      .slice(0, REAL_IMAGES);
    expect(names).toHaveLength(REAL_IMAGES);
    for (const name of names) {
      const bytes = new Uint8Array(readFileSync(`${NLVR_PATH}/${name}`));
      expect(checkImage(bytes), name).toMatchObject({ kind: "image", mediaType: "image/png", frames: 1 });
      expect(checkImage(bytes.subarray(0, bytes.length >> 1)).kind, name).toBe("damaged");
    }
  });
});
