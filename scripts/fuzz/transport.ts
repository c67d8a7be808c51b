import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { mostly } from "./arbitrary.ts";

/** What goes over the wire. */
export interface Sent {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array<ArrayBuffer>;
  /** Sent in chunks, its length untold. */
  readonly chunked: boolean;
  /** Results that an accepted request must get; null where the body does not tell. */
  readonly events: number | null;
}

type Bytes = Uint8Array<ArrayBuffer>;
const encoder = new TextEncoder();

/** Longer than what the intake takes. */
const TOO_LONG = 1_000_001;
const DEEP = 50_000;

/** Nearly always the right key, which whoever sends the case puts in. */
export const AUTHORIZATIONS: fc.Arbitrary<Record<string, string>> = fc.oneof(
  { weight: 40, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc
      .constantFrom(
        "",
        "Bearer",
        "Bearer nm_",
        "Bearer nm_wrong",
        "bearer nmt_a.b.c",
        "Basic nm_x",
        `Bearer nm_${"a".repeat(4_000)}`,
      )
      .map((authorization) => ({ authorization })),
  },
);

const SPOILINGS: fc.Arbitrary<(bytes: Bytes) => Bytes> = fc.oneof(
  fc.nat().map((at) => (bytes: Bytes) => bytes.slice(0, at % (bytes.length + 1))),
  fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 })).map(
    ([at, piece]) =>
      (bytes: Bytes) =>
        splice(bytes, at % (bytes.length + 1), piece),
  ),
  fc.constantFrom(
    () => new Uint8Array(),
    (bytes: Bytes) => splice(bytes, 0, Uint8Array.of(0xef, 0xbb, 0xbf)),
    (bytes: Bytes) => splice(bytes, 0, Uint8Array.of(0xff, 0xfe)),
    (bytes: Bytes) => splice(bytes, bytes.length, new Uint8Array(TOO_LONG).fill(0x20)),
    () => encoder.encode(`${"[".repeat(DEEP)}${"]".repeat(DEEP)}`),
    () => encoder.encode(`{"events":[${"{},".repeat(600)}{}]}`),
    () => encoder.encode("{}\n".repeat(501)),
  ),
);

const GZIPPED = {
  right: (bytes: Bytes) => pack(bytes),
  cut: (bytes: Bytes) => pack(bytes).slice(0, -5),
  flipped: (bytes: Bytes) => pack(bytes).map((byte, index) => (index === 12 ? byte ^ 0x55 : byte)),
  longer: (bytes: Bytes) => splice(pack(bytes), pack(bytes).length, Uint8Array.of(1, 2, 3)),
  twice: (bytes: Bytes) => pack(pack(bytes)),
  bomb: () => pack(new Uint8Array(20_000_000)),
  lie: (bytes: Bytes) => bytes,
} as const;
const GZIPS = Object.keys(GZIPPED) as (keyof typeof GZIPPED)[];

type Transport = (text: string, type: string, events: number | null) => Sent;

/** Ways for a text to go over the wire: as it should, or with the body, its type or its encoding spoilt. */
export const TRANSPORTS: fc.Arbitrary<Transport> = fc
  .record({
    spoil: mostly(undefined, SPOILINGS),
    gzip: mostly(null, mostly("right" as const, fc.constantFrom(...GZIPS))),
    type: mostly(
      undefined,
      fc.constantFrom(
        "text/html",
        "",
        ";",
        "application/json; charset=utf-16",
        "multipart/form-data",
        "application/jsonl",
      ),
    ),
    encoding: mostly(undefined, fc.constantFrom("br", "GZIP", "identity", "gzip, gzip", "")),
    chunked: fc.boolean(),
    authorization: AUTHORIZATIONS,
  })
  .map(({ spoil, gzip, type, encoding, chunked, authorization }) => (text, usual, events) => {
    const plain = encoder.encode(text);
    const bytes = spoil ? spoil(plain) : plain;
    const told = encoding ?? (gzip ? "gzip" : undefined);
    const intact = !spoil && type === undefined && encoding === undefined && (gzip ?? "right") === "right";
    return {
      headers: {
        ...authorization,
        "content-type": type ?? usual,
        ...(told !== undefined && { "content-encoding": told }),
      },
      body: gzip ? GZIPPED[gzip](bytes) : bytes,
      chunked,
      events: intact ? events : null,
    };
  });

function pack(bytes: Bytes): Bytes {
  return Uint8Array.from(gzipSync(bytes));
}

function splice(bytes: Bytes, at: number, piece: Uint8Array): Bytes {
  return Uint8Array.from([...bytes.subarray(0, at), ...piece, ...bytes.subarray(at)]);
}
