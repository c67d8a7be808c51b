import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readImageHeader } from "../../workers/ingest/image-header.ts";

const fromBase64 = (text: string) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

/** Whole small files of a real encoder. */
const FILES: [string, string, { mediaType: string; width: number; height: number }][] = [
  [
    "PNG with a palette",
    "iVBORw0KGgoAAAANSUhEUgAAAAUAAAADCAMAAABs6DXKAAAAA1BMVEXIHjzD6Ll6AAAACXBIWXMAAAPoAAAD6AG1e1JrAAAAC0lEQVQI12NgQAcAABIAAe+JVKQAAAAASUVORK5CYII=",
    { mediaType: "image/png", width: 5, height: 3 },
  ],
  [
    "JPEG, baseline",
    "/9j/2wBDAP//////////////////////////////////////////////////////////////////////////////////////2wBDAf//////////////////////////////////////////////////////////////////////////////////////wAARCAAJABEDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAH/xAAUEAEAAAAAAAAAAAAAAAAAAAAA/8QAFQEBAQAAAAAAAAAAAAAAAAAAAAL/xAAUEQEAAAAAAAAAAAAAAAAAAAAA/9oADAMBAAIRAxEAPwCACwAH/9k=",
    { mediaType: "image/jpeg", width: 17, height: 9 },
  ],
  [
    "JPEG, progressive",
    "/9j/2wBDAP//////////////////////////////////////////////////////////////////////////////////////2wBDAf//////////////////////////////////////////////////////////////////////////////////////wgARCAARAAkDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAH/xAAVAQEBAAAAAAAAAAAAAAAAAAAAAf/aAAwDAQACEAMQAAABgUD/xAAUEAEAAAAAAAAAAAAAAAAAAAAg/9oACAEBAAEFAl//xAAUEQEAAAAAAAAAAAAAAAAAAAAQ/9oACAEDAQE/AT//xAAUEQEAAAAAAAAAAAAAAAAAAAAQ/9oACAECAQE/AT//xAAUEAEAAAAAAAAAAAAAAAAAAAAg/9oACAEBAAY/Al//xAAUEAEAAAAAAAAAAAAAAAAAAAAg/9oACAEBAAE/IV//2gAMAwEAAgADAAAAEPff/8QAFBEBAAAAAAAAAAAAAAAAAAAAEP/aAAgBAwEBPxA//8QAFBEBAAAAAAAAAAAAAAAAAAAAEP/aAAgBAgEBPxA//8QAFBABAAAAAAAAAAAAAAAAAAAAIP/aAAgBAQABPxBf/9k=",
    { mediaType: "image/jpeg", width: 9, height: 17 },
  ],
  [
    "GIF",
    "R0lGODlhCwAGAIAAAExpccgePCH5BAUAAAAALAAAAAALAAYAAAIHjI+py+1fAAA7",
    { mediaType: "image/gif", width: 11, height: 6 },
  ],
  [
    "WebP, lossy",
    "UklGRi4AAABXRUJQVlA4ICIAAABwAQCdASoKAAQADMDOJaACdAFAAAD+144MPUrfroogAAAA",
    { mediaType: "image/webp", width: 10, height: 4 },
  ],
  [
    "WebP, lossless",
    "UklGRh4AAABXRUJQVlA4TBEAAAAvDAABAAdQjyKXp/+BiOh/AAA=",
    { mediaType: "image/webp", width: 13, height: 5 },
  ],
  [
    "WebP, extended",
    "UklGRlIAAABXRUJQVlA4WAoAAAAQAAAADQAABwAAQUxQSAoAAAABB1DAiAhERP8DVlA4ICIAAABwAQCdASoOAAgADMDOJaACdAFAAAD+144MPUrfroogAAAA",
    { mediaType: "image/webp", width: 14, height: 8 },
  ],
];

test.each(FILES)("%s", (_name, base64, expected) => {
  expect(readImageHeader(fromBase64(base64))).toEqual({ kind: "image", ...expected });
});

describe.each(FILES)("%s, spoilt", (_name, base64, expected) => {
  const file = fromBase64(base64);

  test("cut anywhere, it is the same image, damaged or unknown, never another", () => {
    for (let length = 0; length < file.length; length++) {
      const header = readImageHeader(file.slice(0, length));
      if (header.kind === "image") expect(header).toEqual({ kind: "image", ...expected });
      if (header.kind === "damaged") expect(header.mediaType).toBe(expected.mediaType);
    }
  });

  test("with any bytes changed, it still has a size of at least one pixel or none, and nothing is thrown", () => {
    const change = fc.tuple(fc.nat(file.length - 1), fc.nat(255));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const spoilt = file.slice();
        for (const [at, byte] of changes) spoilt[at] = byte;
        const header = readImageHeader(spoilt);
        if (header.kind === "image") expect(Math.min(header.width, header.height)).toBeGreaterThanOrEqual(1);
      }),
      { numRuns: 2_000 },
    );
  });

  test("inside a larger buffer, only its own bytes are read", () => {
    const buffer = new Uint8Array(file.length + 64).fill(0xff);
    buffer.set(file, 32);
    expect(readImageHeader(buffer.subarray(32, 32 + file.length))).toEqual({ kind: "image", ...expected });
  });
});

test("of any bytes behind any beginning, the answer is one of the three kinds", () => {
  const beginnings = [
    "\x89PNG\r\n\x1a\n",
    "\xff\xd8\xff",
    "GIF89a",
    "RIFF\x00\x00\x00\x00WEBPVP8X",
    "RIFF\x00\x00\x00\x00WEBPVP8 ",
    "",
  ];
  fc.assert(
    fc.property(fc.constantFrom(...beginnings), fc.uint8Array({ maxLength: 80 }), (beginning, tail) => {
      const bytes = Uint8Array.from([...beginning].map((character) => character.charCodeAt(0)).concat(...tail));
      expect(["image", "unknown", "damaged"]).toContain(readImageHeader(bytes).kind);
    }),
    { numRuns: 5_000 },
  );
});

test("every size a PNG, GIF or extended WebP can tell is read back", () => {
  const side = (bits: number) => fc.integer({ min: 1, max: 2 ** bits - 1 });
  fc.assert(
    fc.property(side(32), side(32), side(16), side(16), side(24), side(24), (pw, ph, gw, gh, ww, wh) => {
      const png = new DataView(new ArrayBuffer(33));
      new Uint8Array(png.buffer).set(fromBase64(FILES[0]?.[1] ?? "").slice(0, 16));
      png.setUint32(16, pw);
      png.setUint32(20, ph);
      expect(readImageHeader(new Uint8Array(png.buffer))).toMatchObject({ width: pw, height: ph });

      const gif = new Uint8Array([
        ...new TextEncoder().encode("GIF87a"),
        gw & 255,
        gw >> 8,
        gh & 255,
        gh >> 8,
        0,
        0,
        0,
      ]);
      expect(readImageHeader(gif)).toMatchObject({ width: gw, height: gh });

      const webp = fromBase64(FILES[6]?.[1] ?? "");
      for (const [at, value] of [
        [24, ww - 1],
        [27, wh - 1],
      ] as const) {
        webp.set([value & 255, (value >> 8) & 255, value >> 16], at);
      }
      expect(readImageHeader(webp)).toMatchObject({ width: ww, height: wh });
    }),
  );
});

describe("a JPEG's frame header is found", () => {
  const jpeg = (...parts: number[][]) => Uint8Array.from([0xff, 0xd8, ...parts.flat()]);
  const frame = (marker: number) => [0xff, marker, 0, 11, 8, 1, 2, 3, 4, 1, 1, 0x11, 0];
  const found = { kind: "image", mediaType: "image/jpeg", width: 0x0304, height: 0x0102 };

  test("behind other segments, fill bytes and lone markers", () => {
    const comment = [0xff, 0xfe, 0, 4, 0xff, 0xc0];
    expect(readImageHeader(jpeg(comment, [0xff, 0xff, 0xff], frame(0xc0).slice(1)))).toEqual(found);
    expect(readImageHeader(jpeg([0xff, 0x01], [0xff, 0xd0], frame(0xc2)))).toEqual(found);
  });

  test("not in tables, scans or thin air", () => {
    const damaged = { kind: "damaged", mediaType: "image/jpeg" };
    const table = [0xff, 0xc4, 0, 11, 8, 1, 2, 3, 4, 1, 1, 0x11, 0];
    for (const parts of [
      [table],
      [[0xff, 0xda, 0, 2], frame(0xc0)],
      [[0xff, 0xd9], frame(0xc0)],
      [[0xff, 0xe0, 0, 0]],
      [[0xff, 0xe0, 0xff, 0xff], frame(0xc0)],
    ]) {
      expect(readImageHeader(jpeg(...parts))).toEqual(damaged);
    }
  });
});
