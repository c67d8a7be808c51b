import { parseArgs } from "node:util";
import { UsageError } from "../usage-error.ts";
import { CONNECTION_HELP, connect, EXIT, runCommand } from "./connection.ts";
import { COMMANDS, OPTIONS, showFields } from "./policy-commands.ts";

const HELP = `npm run policy -- COMMAND

  get [PATH]               the policy, a section of it, or one value
  fields [PATH]            what can be set: sense, unit, default and bounds of every field
  preview PATH=VALUE...    what the next plan and the next batch would be; changes nothing
  set PATH=VALUE...        shows the preview, asks, and makes the next version
  history                  who changed what, when and why
  diff FROM [TO]           what differs between two versions; without TO, the newest
  rollback VERSION         makes the policy of that version the newest, after the same preview and question

A value is JSON or plain text: training.objective=sft, scheduler.budgetPairs=500, intake.models='["llava"]'.

  --reason TEXT  why, for the history; without it the command itself is the reason
  --yes          do not ask; needed where no terminal can
  --limit N      versions that history shows, 1 to 200 (20)
${CONNECTION_HELP}

Exit codes: 0 done, 1 refused or no answer, 2 wrong use, 3 not confirmed, 4 somebody else changed the policy meanwhile.
`;

await runCommand("policy", async () => {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: OPTIONS });
  const [name = "", ...args] = positionals;
  if (values.help || name === "") {
    console.log(HELP);
    return name === "" && !values.help ? EXIT.usage : EXIT.ok;
  }
  if (name === "fields") return showFields(args, values);
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new UsageError(`there is no command ${name} (see --help)`);
  return command({ api: connect(values, process.env, process.cwd()), args, values });
});
