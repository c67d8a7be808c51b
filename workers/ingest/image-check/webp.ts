import { Reader } from "./reader.ts";
import { checkFrames, checkSize, damaged, type Measured, type Size } from "./refusal.ts";

const ANIMATED = 0x02;
const FRAME_HEADER_BYTES = 16;

interface Chunk {
  readonly type: string;
  readonly data: Reader;
}

/** Walks the chunks of a still or animated WebP, within the size that RIFF tells (RFC 9649, 2). */
export function checkWebp(reader: Reader): Measured {
  reader.skip(4);
  const riff = new Reader(reader.take(reader.u32le()));
  riff.skip(4);
  const first = nextChunk(riff);
  if (first.type !== "VP8X") return { ...readStill(first, riff), frames: 1 };
  const { canvas, isAnimated } = readExtended(first.data);
  checkSize(canvas);
  if (isAnimated) return { ...canvas, frames: countFrames(riff, canvas) };
  const size = readStill(nextChunk(riff), riff);
  if (!isSame(size, canvas)) throw damaged("its image is not as large as its canvas");
  return { ...canvas, frames: 1 };
}

/** A byte is added to a chunk of odd length. */
function nextChunk(reader: Reader): Chunk {
  const type = reader.latin1(4);
  const length = reader.u32le();
  const data = new Reader(reader.take(length));
  reader.skip(length & 1);
  return { type, data };
}

function readExtended(data: Reader): { canvas: Size; isAnimated: boolean } {
  if (data.left !== 10) throw damaged("its chunk VP8X is not 10 bytes long");
  const flags = data.u8();
  data.skip(3);
  return { canvas: { width: data.u24le() + 1, height: data.u24le() + 1 }, isAnimated: (flags & ANIMATED) !== 0 };
}

/** Exactly one of the chunks, from `first` to the end, is the image. */
function readStill(first: Chunk, reader: Reader): Size {
  let size = sizeOf(first);
  while (reader.left > 0) {
    const found = sizeOf(nextChunk(reader));
    if (size && found) throw damaged("it has two images where there should be one");
    size ??= found;
  }
  if (!size) throw damaged("it has no image");
  return size;
}

function countFrames(reader: Reader, canvas: Size): number {
  let frames = 0;
  let hasControl = false;
  while (reader.left > 0) {
    const { type, data } = nextChunk(reader);
    if (type === "ANIM") hasControl = true;
    if (type === "VP8 " || type === "VP8L") throw damaged("it has an image outside its frames");
    if (type !== "ANMF") continue;
    frames += 1;
    checkFrames(canvas, frames);
    checkFrame(data, canvas);
  }
  if (frames === 0 || !hasControl) throw damaged("it is an animation without frames");
  return frames;
}

function checkFrame(frame: Reader, canvas: Size): void {
  if (frame.left < FRAME_HEADER_BYTES) throw damaged("a frame is too short");
  const [x, y] = [2 * frame.u24le(), 2 * frame.u24le()];
  const size = { width: frame.u24le() + 1, height: frame.u24le() + 1 };
  frame.skip(4);
  if (x + size.width > canvas.width || y + size.height > canvas.height) throw damaged("a frame is outside its canvas");
  if (!isSame(readStill(nextChunk(frame), frame), size)) throw damaged("a frame's image is not as large as the frame");
}

function isSame(a: Size, b: Size): boolean {
  return a.width === b.width && a.height === b.height;
}

/** What a lossy or lossless image says of itself; null for every other chunk. */
function sizeOf({ type, data }: Chunk): Size | null {
  if (type === "VP8 ") return sizeOfLossy(data);
  return type === "VP8L" ? sizeOfLossless(data) : null;
}

/** A key frame that is shown, and its first partition within the chunk (RFC 6386, 9.1). */
function sizeOfLossy(data: Reader): Size {
  const tag = data.u24le();
  const [isKeyFrame, isShown, partitionBytes] = [(tag & 1) === 0, (tag & 0x10) !== 0, tag >> 5];
  const startCode = data.u24le();
  const size = { width: data.u16le() & 0x3fff, height: data.u16le() & 0x3fff };
  if (!isKeyFrame || !isShown || startCode !== 0x2a019d || partitionBytes > data.left) {
    throw damaged("its lossy image does not add up");
  }
  checkSize(size);
  return size;
}

/** A signature, 14 bits of width - 1, 14 of height - 1, one for transparency, three of version 0 (RFC 9649, 3.4). */
function sizeOfLossless(data: Reader): Size {
  const signature = data.u8();
  const bits = data.u32le();
  if (signature !== 0x2f || bits >>> 29 !== 0 || data.left === 0) throw damaged("its lossless image does not add up");
  const size = { width: (bits & 0x3fff) + 1, height: ((bits >>> 14) & 0x3fff) + 1 };
  checkSize(size);
  return size;
}
