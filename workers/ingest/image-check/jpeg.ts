import { Reader } from "./reader.ts";
import { checkSize, damaged, type Measured, Refused, type Size } from "./refusal.ts";

/** A progressive image of a real encoder has about 10 scans, and a decoder goes over the whole image for each. */
const MAX_SCANS = 100;

const SOI = 0xd8;
const EOI = 0xd9;
const SOS = 0xda;
const TEM = 0x01;
/** Baseline, extended sequential and progressive, with Huffman (0 to 2) or arithmetic coding (9 and 10). */
const FRAMES = new Set([0xc0, 0xc1, 0xc2, 0xc9, 0xca]);
/** Lossless and hierarchical ones, which hardly anything decodes. */
const OTHER_FRAMES = new Set([0xc3, 0xc5, 0xc6, 0xc7, 0xcb, 0xcd, 0xce, 0xcf, 0xde]);

interface Frame extends Size {
  /** Ids of the components. */
  readonly components: ReadonlySet<number>;
}

/** Walks a JPEG's segments and scans from SOI to EOI (ITU-T T.81, annex B). */
export function checkJpeg(reader: Reader): Measured {
  reader.skip(2);
  let frame: Frame | null = null;
  let scans = 0;
  for (let marker = nextMarker(reader); marker !== EOI; marker = nextMarker(reader)) {
    if (marker === TEM || isRestart(marker)) continue;
    if (marker === SOI || marker === 0) throw damaged("a segment is not where the one before it ends");
    const segment = nextSegment(reader);
    if (OTHER_FRAMES.has(marker)) throw new Refused("unsupported", "it is lossless or hierarchical JPEG");
    if (FRAMES.has(marker)) {
      if (frame) throw damaged("it has two frame headers");
      frame = readFrame(segment);
    }
    if (marker === SOS) {
      scans += 1;
      if (!frame) throw damaged("it has a scan before its frame header");
      if (scans > MAX_SCANS) throw new Refused("too-large", `it has more than ${MAX_SCANS} scans`);
      checkScan(segment, frame);
      skipScanData(reader);
    }
  }
  if (!frame || scans === 0) throw damaged("it has no scan");
  return { width: frame.width, height: frame.height, frames: 1 };
}

/** Any number of fill bytes may stand before a marker. */
function nextMarker(reader: Reader): number {
  if (reader.u8() !== 0xff) throw damaged("a segment is not where the one before it ends");
  let marker = reader.u8();
  while (marker === 0xff) marker = reader.u8();
  return marker;
}

function isRestart(marker: number): boolean {
  return marker >= 0xd0 && marker <= 0xd7;
}

function nextSegment(reader: Reader): Reader {
  const length = reader.u16be();
  if (length < 2) throw damaged("a segment is shorter than its length");
  return new Reader(reader.take(length - 2));
}

function readFrame(segment: Reader): Frame {
  const precision = segment.u8();
  const [height, width, count] = [segment.u16be(), segment.u16be(), segment.u8()];
  if (segment.left !== 3 * count || count < 1 || count > 4 || (precision !== 8 && precision !== 12)) {
    throw damaged("its frame header does not add up");
  }
  checkSize({ width, height });
  const components = new Set<number>();
  while (segment.left > 0) {
    components.add(segment.u8());
    const sampling = segment.u8();
    const [across, down] = [sampling >> 4, sampling & 15];
    if (across < 1 || across > 4 || down < 1 || down > 4) throw damaged("its frame header does not add up");
    segment.skip(1);
  }
  if (components.size !== count) throw damaged("its frame header does not add up");
  return { width, height, components };
}

function checkScan(segment: Reader, frame: Frame): void {
  const count = segment.u8();
  if (count < 1 || count > 4 || segment.left !== 2 * count + 3) throw damaged("the header of a scan does not add up");
  for (let component = 0; component < count; component++) {
    if (!frame.components.has(segment.u8())) throw damaged("a scan is of a component that the image has not");
    segment.skip(1);
  }
}

/** Goes to the next marker that is no part of the data: zero follows a byte 0xFF of the data, and restarts stand in it. */
function skipScanData(reader: Reader): void {
  const before = reader.left;
  for (;;) {
    reader.seek(0xff);
    const isEmpty = reader.left === before;
    const next = reader.peek(1);
    if (next !== 0 && !isRestart(next)) {
      if (isEmpty) throw damaged("a scan has no data");
      return;
    }
    reader.skip(2);
  }
}
