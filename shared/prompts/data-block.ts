/**
 * Strangers' texts as one JSON object that a prompt may hold. Angle brackets are escaped inside JSON strings, so that no value
 * can close the block it stands in.
 */
export function dataBlock(data: unknown): string {
  const json = JSON.stringify(data).replaceAll("<", "\\u003c").replaceAll(">", "\\u003e");
  return `<data>\n${json}\n</data>`;
}
