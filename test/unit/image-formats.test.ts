import { describe, expect, test } from "vitest";
import { LIMITS } from "../../shared/contracts/common.ts";
import { checkImage } from "../../workers/ingest/image-check/index.ts";
import { expectRefused, fixtureBytes, joined, latin1, riffChunk, u16le, u24le, u32le, webp } from "./image-builders.ts";

describe("JPEG", () => {
  const SOI = [0xff, 0xd8];
  const EOI = [0xff, 0xd9];
  const frame = (marker = 0xc0, [width, height] = [0x0304, 0x0102]) => [
    ...[0xff, marker, 0, 11, 8],
    ...u16le(height ?? 0).reverse(),
    ...u16le(width ?? 0).reverse(),
    ...[1, 1, 0x11, 0],
  ];
  const scanHeader = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0];
  const scan = [...scanHeader, 0x12, 0xff, 0x00, 0xff, 0xd0, 0x34];
  const jpeg = (...parts: number[][]) => joined(SOI, ...parts, EOI);
  const found = { kind: "image", mediaType: "image/jpeg", width: 0x0304, height: 0x0102, frames: 1 };

  test("its frame is found behind other segments, fill bytes and lone markers", () => {
    const comment = [0xff, 0xfe, 0, 4, 0xff, 0xc0];
    expect(checkImage(jpeg(comment, [0xff, 0xff], frame(), scan))).toEqual(found);
    expect(checkImage(jpeg([0xff, 0x01], [0xff, 0xd0], frame(0xc2), scan, [0xff, 0xff], scan))).toEqual(found);
  });

  test("tables, and images within segments, are not its frame", () => {
    const table = [0xff, 0xc4, 0, 11, 8, 1, 2, 3, 4, 1, 1, 0x11, 0];
    const preview = joined(SOI, frame(0xc0, [1, 1]), scan, EOI);
    const segment = [0xff, 0xe1, 0, 2 + preview.length, ...preview];
    expect(checkImage(jpeg(segment, table, frame(), scan))).toEqual(found);
    expectRefused(jpeg(segment, table), "damaged", "no scan");
  });

  test.each([
    ["no scan", jpeg(frame()), "no scan"],
    ["nothing at all", jpeg(), "no scan"],
    ["a scan before its frame", jpeg(scan, frame()), "before its frame header"],
    ["two frames", jpeg(frame(), frame(), scan), "two frame headers"],
    ["a scan without data", jpeg(frame(), scanHeader), "a scan has no data"],
    ["no end", joined(SOI, frame(), scan), "cut off"],
    ["a second beginning", jpeg(frame(), SOI, scan), "not where the one before it ends"],
    ["bytes between segments", jpeg([0x00], frame(), scan), "not where|none of"],
    ["bytes between later segments", jpeg(frame(), [0x00], scan), "not where the one before it ends"],
    ["a segment of length 1", jpeg([0xff, 0xe0, 0, 1], frame(), scan), "shorter than its length"],
    ["a segment beyond the end", jpeg(frame(), scan, [0xff, 0xe0, 0xff, 0xff]), "cut off"],
    ["no width", jpeg(frame(0xc0, [0, 5]), scan), "no pixels"],
    ["no height", jpeg(frame(0xc0, [5, 0]), scan), "no pixels"],
    ["a frame with a component missing", jpeg(frame().with(9, 2), scan), "frame header does not add up"],
    ["a scan of another component", jpeg(frame(), scan.with(5, 7)), "a component that the image has not"],
    ["a scan header of another length", jpeg(frame(), scan.with(3, 9)), "header of a scan does not add up"],
  ])("with %s is refused", (_name, bytes, reason) => {
    expect(checkImage(bytes)).toMatchObject({ reason: expect.stringMatching(reason) });
    expect(checkImage(bytes).kind).not.toBe("image");
  });

  test.each([0xc3, 0xc5, 0xc7, 0xcb, 0xcf, 0xde])(
    "of a kind that hardly anything decodes (%i) is not taken",
    (marker) => {
      expectRefused(jpeg(frame(marker), scan), "unsupported", "lossless or hierarchical");
    },
  );

  test("with 100 scans is taken, with more it is a bomb", () => {
    const scans = (count: number) => Array.from({ length: count }, () => scan);
    expect(checkImage(jpeg(frame(0xc2), ...scans(100)))).toEqual(found);
    expectRefused(jpeg(frame(0xc2), ...scans(101)), "too-large", "more than 100 scans");
    expectRefused(jpeg(frame(0xc2), ...scans(1_000)), "too-large", "more than 100 scans");
  });

  test("too large by its frame is refused before its scans", () => {
    expectRefused(jpeg(frame(0xc0, [20_000, 1])), "too-large", "20000 x 1 pixels");
    expectRefused(jpeg(frame(0xc0, [9_000, 9_000])), "too-large", "9000 x 9000 pixels");
  });
});

describe("GIF", () => {
  const head = (width: number, height: number) =>
    joined(latin1("GIF89a"), u16le(width), u16le(height), [0x80, 0, 0], [0, 0, 0, 255, 255, 255]);
  const frame = ([x, y, width, height] = [0, 0, 4, 2], data = [2, 2, 0x4c, 0x01, 0]) =>
    joined([0x2c], u16le(x ?? 0), u16le(y ?? 0), u16le(width ?? 0), u16le(height ?? 0), [0], data);
  const control = joined([0x21, 0xf9, 4, 0, 5, 0, 0, 0]);
  const gif = (...blocks: Uint8Array[]) => joined(head(4, 2), ...blocks, [0x3b]);

  test("counts its frames, whatever extensions stand between", () => {
    const comment = joined([0x21, 0xfe, 3], latin1("a,;"), [2], latin1("b,"), [0]);
    expect(checkImage(gif(frame()))).toMatchObject({ kind: "image", width: 4, height: 2, frames: 1 });
    expect(checkImage(gif(control, frame(), comment, control, frame([1, 1, 3, 1]), comment))).toMatchObject({
      frames: 2,
    });
  });

  test.each([
    ["no frame", gif(control), "no image"],
    ["no trailer", joined(head(4, 2), frame()), "cut off"],
    ["a frame outside its screen", gif(frame([1, 0, 4, 2])), "outside its screen"],
    ["a frame below its screen", gif(frame([0, 1, 4, 2])), "outside its screen"],
    ["a frame without pixels", gif(frame([0, 0, 0, 2])), "outside its screen"],
    ["a screen without pixels", joined(head(0, 2), frame([0, 0, 0, 2]), [0x3b]), "no pixels"],
    ["a frame without data", gif(frame([0, 0, 4, 2], [2, 0])), "no data"],
    ["codes of 9 bits", gif(frame([0, 0, 4, 2], [9, 1, 0, 0])), "not compressed as in any GIF"],
    ["codes of 0 bits", gif(frame([0, 0, 4, 2], [0, 1, 0, 0])), "not compressed as in any GIF"],
    ["a block of no kind", gif(frame(), Uint8Array.of(0x40)), "not where the one before it ends"],
  ])("with %s is damaged", (_name, bytes, reason) => {
    expectRefused(bytes, "damaged", reason);
  });

  test("with too many frames, or too many pixels in all of them, is refused", () => {
    const frames = (count: number) => Array.from({ length: count }, () => frame([0, 0, 1, 1]));
    expect(checkImage(gif(...frames(LIMITS.imageFrames)))).toMatchObject({ frames: LIMITS.imageFrames });
    expectRefused(gif(...frames(LIMITS.imageFrames + 1)), "too-large", `more than ${LIMITS.imageFrames} frames`);
    const large = (count: number) => joined(head(1_000, 1_000), ...frames(count), [0x3b]);
    expect(checkImage(large(40))).toMatchObject({ kind: "image", frames: 40 });
    expectRefused(large(41), "too-large", "41 or more frames of 1000 x 1000 pixels");
    expectRefused(joined(head(20_000, 1), frame()), "too-large", "20000 x 1 pixels");
  });
});

describe("WebP", () => {
  const still = (name: string) => fixtureBytes(name).subarray(12);
  const lossy = still("WebP, lossy"); // 10 x 4
  const extended = (width: number, height: number, flags = 0) =>
    riffChunk("VP8X", [flags, 0, 0, 0, ...u24le(width - 1), ...u24le(height - 1)]);
  const control = riffChunk("ANIM", [0, 0, 0, 0, 0, 0]);
  const frame = (x: number, y: number, width: number, height: number, ...chunks: Uint8Array[]) =>
    riffChunk("ANMF", joined([x / 2, y / 2, width - 1, height - 1, 50].flatMap(u24le), [0], ...chunks));
  const animation = (...chunks: Uint8Array[]) => webp(extended(12, 6, 0x02), control, ...chunks);

  test("says its size in its image and, if it is extended, in its canvas", () => {
    const size = { kind: "image", mediaType: "image/webp", width: 10, height: 4, frames: 1 };
    expect(checkImage(webp(lossy))).toEqual(size);
    expect(checkImage(webp(extended(10, 4), riffChunk("ICCP", [1, 2, 3]), lossy, riffChunk("EXIF", [1])))).toEqual(
      size,
    );
    expect(checkImage(webp(lossy, riffChunk("what", [1])))).toEqual(size);
  });

  test("counts the frames of an animation", () => {
    const bytes = animation(frame(0, 0, 10, 4, lossy), frame(2, 2, 10, 4, riffChunk("ALPH", [0, 1]), lossy));
    expect(checkImage(bytes)).toEqual({ kind: "image", mediaType: "image/webp", width: 12, height: 6, frames: 2 });
  });

  const whole = webp(lossy);
  const withRiffSize = (bytes: number) => joined(whole.subarray(0, 4), u32le(bytes), whole.subarray(8));
  const withByte = (at: number, byte: number) => whole.with(at, byte);
  test.each([
    ["a RIFF size beyond its end", withRiffSize(whole.length - 7), "cut off"],
    ["a RIFF size that ends within a chunk", withRiffSize(whole.length - 9), "cut off"],
    ["no image", webp(extended(10, 4), riffChunk("EXIF", [1])), "no image"],
    ["nothing but a canvas", webp(extended(10, 4)), "cut off"],
    ["two images", webp(extended(10, 4), lossy, lossy), "two images"],
    ["a canvas of another size", webp(extended(11, 4), lossy), "not as large as its canvas"],
    ["a canvas chunk of another length", webp(riffChunk("VP8X", new Uint8Array(9)), lossy), "not 10 bytes"],
    ["no key frame", withByte(20, (whole[20] ?? 0) | 1), "lossy image does not add up"],
    ["a wrong start code", withByte(23, 0), "lossy image does not add up"],
    ["a first part beyond the chunk", withByte(22, 0xff), "lossy image does not add up"],
    ["no width", withByte(26, 0).with(27, 0), "no pixels"],
    [
      "lossless data of another version",
      webp(riffChunk("VP8L", [0x2f, 0, 0, 0, 0x20, 1])),
      "lossless image does not add up",
    ],
    [
      "lossless data without its signature",
      webp(riffChunk("VP8L", [0x2e, 0, 0, 0, 0, 1])),
      "lossless image does not add up",
    ],
    ["lossless data of a header only", webp(riffChunk("VP8L", [0x2f, 0, 0, 0, 0])), "lossless image does not add up"],
    ["an animation without frames", animation(), "without frames"],
    ["an animation without its control", webp(extended(12, 6, 2), frame(0, 0, 10, 4, lossy)), "without frames"],
    ["an image beside the frames", animation(frame(0, 0, 10, 4, lossy), lossy), "outside its frames"],
    ["a frame outside its canvas", animation(frame(4, 0, 10, 4, lossy)), "outside its canvas"],
    ["a frame of another size", animation(frame(0, 0, 9, 4, lossy)), "not as large as the frame"],
    ["a frame without an image", animation(frame(0, 0, 10, 4, riffChunk("ALPH", [0]))), "no image"],
    ["a frame that is too short", animation(riffChunk("ANMF", new Uint8Array(15))), "too short"],
  ])("with %s is damaged", (_name, bytes, reason) => {
    expectRefused(bytes, "damaged", reason);
  });

  test("with too many frames, or pixels, is refused", () => {
    const frames = (count: number) => Array.from({ length: count }, () => frame(0, 0, 10, 4, lossy));
    expect(checkImage(animation(...frames(LIMITS.imageFrames)))).toMatchObject({ frames: LIMITS.imageFrames });
    expectRefused(animation(...frames(LIMITS.imageFrames + 1)), "too-large", `more than ${LIMITS.imageFrames} frames`);
    const large = webp(extended(1_000, 1_000, 2), control, ...frames(41));
    expectRefused(large, "too-large", "41 or more frames of 1000 x 1000 pixels");
    expectRefused(webp(extended(16_385, 1), lossy), "too-large", "16385 x 1 pixels");
    expectRefused(webp(riffChunk("VP8L", [0x2f, 0xff, 0xff, 0xff, 0x0f, 1])), "too-large", "16384 x 16384 pixels");
  });
});
