import { parseArgs } from "node:util";
import { UsageError } from "../usage-error.ts";
import { CONNECTION_HELP, CONNECTION_OPTIONS, connect, EXIT, runCommand } from "./connection.ts";
import { remake } from "./remake.ts";
import { whichTick } from "./which-tick.ts";

const HELP = `npm run replay -- TICK|latest

Makes a stored plan again from its stored inputs and compares the bytes. Exit code 0 when they are the same, 1 when not.

${CONNECTION_HELP}
`;

await runCommand("replay", async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: CONNECTION_OPTIONS });
  const [tick, ...rest] = positionals;
  if (values.help) {
    console.log(HELP);
    return EXIT.ok;
  }
  if (rest.length > 0) throw new UsageError(`one tick at a time, not also ${rest.join(" ")}`);
  const api = connect(values, process.env, process.cwd());
  const record = await api.tickRecord(await whichTick(api, tick));
  const { same, findings } = await remake(record);
  if (values.json) console.log(JSON.stringify({ tick: record.id, same, findings }));
  else console.log(`${findings.join("\n")}\ntick ${record.id}: ${same ? "same" : "different"}`);
  return same ? EXIT.ok : EXIT.failed;
});
