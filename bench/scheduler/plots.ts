import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LEARNERS } from "../../shared/hardness/simulator/learners.ts";
import { oracle, POLICIES, thisDesign } from "../../shared/hardness/simulator/policies.ts";
import { ROUNDS } from "../../shared/hardness/simulator/world.ts";
import type { Run } from "./pool.ts";
import { mean } from "./standings.ts";

const DOCS = join(import.meta.dirname, "..", "..", "docs");
/** The plain scenario; its place in `SCENARIOS`. */
const SCENARIO = 0;
const WIDTH = 960;
const HEIGHT = 520;
const AREA = { left: 64, right: 700, top: 64, bottom: 464 };
/** Least distance of two labels, so that both can be read. */
const LABEL_HEIGHT = 17;
const COLOURS = [
  "#94a3b8",
  "#b45309",
  "#a16207",
  "#65a30d",
  "#0e7490",
  "#6d28d9",
  "#be185d",
  "#c2410c",
  "#0f766e",
  "#334155",
  "#64748b",
];

/** One picture per learner: accuracy in use over rounds, a line per policy, mean of the seeds. */
export async function writePlots(runs: readonly Run[]): Promise<void> {
  for (const [learner, { name }] of LEARNERS.entries()) {
    const own = runs.filter((run) => run.learner === learner && run.scenario === SCENARIO);
    await writeFile(join(DOCS, `scheduler-${name}.svg`), plotOf(name, own));
  }
}

interface Line {
  readonly name: string;
  readonly colour: string;
  readonly accuracy: readonly number[];
}

function plotOf(learner: string, runs: readonly Run[]): string {
  const lines = POLICIES.map(({ name }, policy): Line => {
    const traces = runs.flatMap((run) => run.traces[policy] ?? []);
    const accuracy = Array.from({ length: ROUNDS }, (_, round) => mean(traces.map((t) => t.accuracy[round] ?? 0)));
    return { name, colour: COLOURS[policy] ?? "#000000", accuracy };
  });
  const values = lines.flatMap(({ accuracy }) => accuracy);
  const [low, high] = [Math.floor(Math.min(...values) * 20) / 20, Math.ceil(Math.max(...values) * 20) / 20];
  const x = (round: number) => AREA.left + ((AREA.right - AREA.left) * round) / (ROUNDS - 1);
  const y = (accuracy: number) => AREA.bottom - ((AREA.bottom - AREA.top) * (accuracy - low)) / (high - low);
  const regions = runs[0]?.regions ?? 0;
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif" role="img" aria-labelledby="title desc">
  <title id="title">Accuracy in use over rounds, ${learner} learner</title>
  <desc id="desc">${lines.map(({ name, accuracy }) => `${name}: ${(accuracy.at(-1) ?? 0).toFixed(3)}`).join("; ")} after the last round.</desc>
  <rect width="${WIDTH}" height="${HEIGHT}" rx="14" fill="#f8fafc"/>
  <text x="${AREA.left}" y="34" font-size="17" font-weight="600" fill="#0f172a">Accuracy in use over rounds, ${learner} learner</text>
  <text x="${AREA.left}" y="52" font-size="12" fill="#475569">${regions} regions, mean of ${runs.length} seeds; after round ${ROUNDS / 2} a third of the regions lose ability and traffic moves</text>
${gridOf(low, high, y)}
${[1, 10, 20, 30, 40].map((round) => `  <text x="${x(round - 1)}" y="${AREA.bottom + 20}" font-size="12" fill="#475569" text-anchor="middle">${round}</text>`).join("\n")}
${lines.map((line) => pathOf(line, x, y)).join("\n")}
${labelsOf(lines, y)}
</svg>
`;
}

function gridOf(low: number, high: number, y: (accuracy: number) => number): string {
  const step = high - low > 0.3 ? 0.1 : 0.05;
  const marks = Array.from({ length: Math.floor((high - low) / step + 1.001) }, (_, i) => low + i * step);
  return marks
    .map(
      (mark) =>
        `  <path d="M${AREA.left} ${y(mark).toFixed(1)}H${AREA.right}" stroke="#e2e8f0"/><text x="${AREA.left - 8}" y="${(y(mark) + 4).toFixed(1)}" font-size="12" fill="#475569" text-anchor="end">${mark.toFixed(2)}</text>`,
    )
    .join("\n");
}

function isMain(name: string): boolean {
  return name === thisDesign.name || name === oracle.name;
}

function pathOf({ name, colour, accuracy }: Line, x: (round: number) => number, y: (accuracy: number) => number) {
  const points = accuracy.map((value, round) => `${x(round).toFixed(1)} ${y(value).toFixed(1)}`).join("L");
  return `  <path d="M${points}" fill="none" stroke="${colour}" stroke-width="${isMain(name) ? 3 : 1.6}" stroke-linejoin="round"/>`;
}

/** Labels beside the ends of their lines, moved apart where they would touch; a thin line leads back. */
function labelsOf(lines: readonly Line[], y: (accuracy: number) => number): string {
  const ends = lines.map((line) => ({ ...line, end: y(line.accuracy.at(-1) ?? 0) })).sort((a, b) => a.end - b.end);
  let lowest = AREA.bottom - LABEL_HEIGHT * (ends.length - 1);
  let last = Number.NEGATIVE_INFINITY;
  return ends
    .map(({ name, colour, end }) => {
      const at = Math.min(Math.max(end, last + LABEL_HEIGHT), Math.max(lowest, last + LABEL_HEIGHT));
      last = at;
      lowest += LABEL_HEIGHT;
      const weight = isMain(name) ? ' font-weight="700"' : "";
      return `  <path d="M${AREA.right + 2} ${end.toFixed(1)}L${AREA.right + 18} ${at.toFixed(1)}" stroke="${colour}" fill="none"/><text x="${AREA.right + 22}" y="${(at + 4).toFixed(1)}" font-size="12" fill="${colour}"${weight}>${name}</text>`;
    })
    .join("\n");
}
