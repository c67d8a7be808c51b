/** Which images may be trained on. The answer depends on the image's content alone, so it can never drift. */

/** Share of images, in percent, that only ever judge an adapter. Fixed: changing it would leak judged images into training. */
export const GATE_PERCENT = 20;

export type Split = "train" | "gate" | "mixed";

/** The side an image stands on: its first 32 bits, modulo 100. `sha256` is 64 hex digits. */
export function splitOfImage(sha256: string): "train" | "gate" {
  return Number.parseInt(sha256.slice(0, 8), 16) % 100 < GATE_PERCENT ? "gate" : "train";
}

/** The side of a prompt with these images; `mixed` prompts are neither trained on nor used to judge. Text alone is trained on. */
export function splitOfImages(images: readonly string[]): Split {
  const sides = new Set(images.map(splitOfImage));
  if (sides.size > 1) return "mixed";
  return sides.has("gate") ? "gate" : "train";
}
