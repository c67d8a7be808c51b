import type { MetricRow } from "../store/metrics.ts";

/** A metric as Prometheus is told of it. */
export interface Family {
  readonly name: string;
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
  readonly samples: readonly MetricRow[];
}

/** Labels as Prometheus writes them: `status="stored",kind="pair"`. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`)
    .join(",");
}

/** One row per name and labels, with the sum of all values; in the order in which they first appear. */
export function addUp(...lists: readonly (readonly MetricRow[])[]): MetricRow[] {
  const sums = new Map<string, MetricRow>();
  for (const row of lists.flat()) {
    const key = `${row.name}{${row.labels}}`;
    sums.set(key, { ...row, value: row.value + (sums.get(key)?.value ?? 0) });
  }
  return [...sums.values()];
}

/** Version 0.0.4 of the text format of Prometheus: https://prometheus.io/docs/instrumenting/exposition_formats/ */
export function prometheusText(families: readonly Family[]): string {
  return families
    .map(({ name, help, type, samples }) => {
      const head = `# HELP ${name} ${escaped(help)}\n# TYPE ${name} ${type}\n`;
      return head + samples.map(line).join("");
    })
    .join("");
}

function line({ name, labels, value }: MetricRow): string {
  return `${name}${labels === "" ? "" : `{${labels}}`} ${number(value)}\n`;
}

function number(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
