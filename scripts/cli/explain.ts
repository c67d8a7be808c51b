import { parseArgs } from "node:util";
import { UsageError } from "../usage-error.ts";
import { CONNECTION_HELP, CONNECTION_OPTIONS, connect, EXIT, runCommand } from "./connection.ts";
import { explanationText } from "./render.ts";
import { whichTick } from "./which-tick.ts";

const HELP = `npm run explain -- TICK|latest [REGION]

Why the regions of a plan got what they got, and what would have to change. A region that is named, as in
counting/count-near/en/image, is explained in more depth, also when it got nothing.

${CONNECTION_HELP}
`;

await runCommand("explain", async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: CONNECTION_OPTIONS });
  const [tick, region, ...rest] = positionals;
  if (values.help) {
    console.log(HELP);
    return EXIT.ok;
  }
  if (rest.length > 0) throw new UsageError(`one region at most, not also ${rest.join(" ")}`);
  const api = connect(values, process.env, process.cwd());
  const explanation = await api.explanation(await whichTick(api, tick), region);
  console.log(values.json ? JSON.stringify(explanation) : explanationText(explanation));
  return EXIT.ok;
});
