/** True for about `rate` of all keys, the same ones each time; a higher rate keeps what a lower one kept. */
export function isSampled(key: string, rate: number): boolean {
  return hash32(key) < rate * 2 ** 32;
}

/** FNV-1a, then MurmurHash3's finaliser, so that keys that differ in one place only spread evenly. */
function hash32(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
