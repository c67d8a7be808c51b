import Table from "cli-table3";
import type { HeldOut, RoundRecord } from "./record.ts";

const PLAIN = { style: { head: [], border: [] } };

const percent = (part: number, n: number): string => (n === 0 ? "-" : `${((100 * part) / n).toFixed(1)} %`);
const rate = (value: number | null): string => (value === null ? "-" : `${(100 * value).toFixed(1)} %`);

/** The accuracy of each task on held-out images, before and after a round. */
function heldOutRows(before: HeldOut, after: HeldOut): string[][] {
  const rows = after.tasks.map((task) => {
    const old = before.tasks.find((other) => other.name === task.name);
    return [
      `held out: ${task.name} (n ${task.n})`,
      old ? percent(old.rightAfter, old.n) : "-",
      percent(task.rightAfter, task.n),
    ];
  });
  return [
    ...rows,
    [
      `held out: all (n ${after.all.n})`,
      percent(before.all.rightAfter, before.all.n),
      percent(after.all.rightAfter, after.all.n),
    ],
    [`yes-rate (true ${rate(after.yesRate.truth)})`, rate(before.yesRate.after), rate(after.yesRate.after)],
  ];
}

/** One round as a table for people. */
export function roundTable(record: RoundRecord): string {
  const { served, edits, trained } = record;
  const table = new Table({ head: [`round ${record.round + 1}`, "before", "after"], ...PLAIN });
  const wide = (name: string, text: string) => table.push([name, { colSpan: 2, content: text }]);
  wide("failures / questions", `${served.wrong} / ${served.asked}`);
  wide("edits asked / accepted / refused", `${edits.asked} / ${edits.accepted} / ${edits.refused}`);
  for (const [reason, count] of Object.entries(edits.reasons)) wide(`  refused: ${reason}`, String(count));
  wide(
    "edited by",
    Object.entries(edits.editors)
      .map(([name, count]) => `${name} ${count}`)
      .join(", ") || "-",
  );
  if (trained) {
    wide("pairs trained / groups", `${trained.pairs} / ${trained.groups}`);
    wide("only scored", String(trained.scored));
    table.push(["reward accuracy", rate(trained.rewardAccuracyBefore), rate(trained.rewardAccuracyAfter)]);
    table.push(["margin (nats)", trained.marginBefore.toFixed(2), trained.marginAfter.toFixed(2)]);
    wide("chosen log-ratio (nats)", trained.chosenLogRatio.toFixed(2));
    const { all } = trained.gate;
    table.push([`gate (n ${all.n})`, percent(all.rightBefore, all.n), percent(all.rightAfter, all.n)]);
  }
  for (const row of heldOutRows(record.before, record.after)) table.push(row);
  wide("verdict", trained ? trained.verdict : `no round: ${record.skipped}`);
  wide("seconds", record.seconds.toFixed(0));
  return [table.toString(), ...(trained?.gate.reasons ?? []).map((reason) => `  ${reason}`)].join("\n");
}

/** What the loop reached, from the base model to the present champion. */
export function summaryTable(now: HeldOut): string {
  const table = new Table({ head: ["held out", "n", "base", "champion", "fixed", "broken", "guard"], ...PLAIN });
  for (const slice of [...now.tasks, now.all]) {
    table.push([
      slice.name,
      String(slice.n),
      percent(slice.rightBefore, slice.n),
      percent(slice.rightAfter, slice.n),
      percent(slice.fixed, slice.n - slice.rightBefore),
      percent(slice.broken, slice.rightBefore),
      slice.guard,
    ]);
  }
  return table.toString();
}
