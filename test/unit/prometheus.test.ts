import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addUp, labelText, prometheusText } from "../../workers/operator/prometheus.ts";
import type { MetricRow } from "../../workers/store/metrics.ts";

/** Reads labels as Prometheus does: name="value", with \\ , \" and \n escaped. */
function readLabels(text: string): Record<string, string> {
  const labels: [string, string][] = [];
  let rest = text;
  while (rest !== "") {
    const [whole, name = "", value = ""] = /^,?([a-z_]+)="((?:[^"\\\n]|\\.)*)"/.exec(rest) ?? [];
    if (whole === undefined) throw new Error(`not labels: ${rest}`);
    labels.push([name, value.replaceAll(/\\(.)/g, (_, mark) => (mark === "n" ? "\n" : mark))]);
    rest = rest.slice(whole.length);
  }
  return Object.fromEntries(labels);
}

const names = fc.constantFrom("a_total", "b_seconds_sum", "c");
const rows: fc.Arbitrary<MetricRow[]> = fc.array(
  fc.record({ name: names, labels: fc.constantFrom("", 'x="1"', 'x="2"'), value: fc.integer({ min: 0, max: 1_000 }) }),
);

describe("labels", () => {
  test("are read back as they were, whatever is in them", () => {
    const value = fc.oneof(fc.string(), fc.string({ unit: fc.constantFrom("\\", '"', "\n", "n", ",", "}") }));
    fc.assert(
      fc.property(
        fc.dictionary(fc.constantFrom("status", "reason", "le"), value, { noNullPrototype: true }),
        (labels) => {
          expect(labelText(labels)).not.toContain("\n");
          expect(readLabels(labelText(labels))).toEqual(labels);
        },
      ),
    );
  });
});

describe("adding up", () => {
  const total = (list: readonly MetricRow[]) => list.reduce((sum, { value }) => sum + value, 0);
  const keyOf = ({ name, labels }: MetricRow) => `${name}{${labels}}`;

  test("loses nothing and leaves one row per name and labels", () => {
    fc.assert(
      fc.property(rows, rows, (stored, waiting) => {
        const sum = addUp(stored, waiting);
        expect(total(sum)).toBe(total(stored) + total(waiting));
        expect(new Set(sum.map(keyOf)).size).toBe(sum.length);
        expect(new Set(sum.map(keyOf))).toEqual(new Set([...stored, ...waiting].map(keyOf)));
      }),
    );
  });

  test("does not hang on where a count was found", () => {
    const sorted = (list: MetricRow[]) => list.sort((a, b) => keyOf(a).localeCompare(keyOf(b)));
    fc.assert(
      fc.property(rows, rows, (stored, waiting) => {
        expect(sorted(addUp(stored, waiting))).toEqual(sorted(addUp([...waiting, ...stored])));
      }),
    );
  });
});

test("the text has help and type of every family, then its samples", () => {
  const text = prometheusText([
    {
      name: "events_total",
      help: "Back\\slash and\nline",
      type: "counter",
      samples: [
        { name: "events_total", labels: 'status="stored"', value: 3 },
        { name: "events_total", labels: "", value: 0.5 },
      ],
    },
    {
      name: "age",
      help: "Age.",
      type: "gauge",
      samples: [{ name: "age", labels: "", value: Number.POSITIVE_INFINITY }],
    },
  ]);
  expect(text).toBe(
    [
      "# HELP events_total Back\\\\slash and\\nline",
      "# TYPE events_total counter",
      'events_total{status="stored"} 3',
      "events_total 0.5",
      "# HELP age Age.",
      "# TYPE age gauge",
      "age +Inf",
      "",
    ].join("\n"),
  );
});
