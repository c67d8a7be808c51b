import type { OperatorApi } from "../loop/api.ts";
import { UsageError } from "../usage-error.ts";

/** The number of the tick that `text` names: itself, or the newest for `latest`. @throws {UsageError} */
export async function whichTick(api: OperatorApi, text: string | undefined): Promise<number> {
  if (text === "latest") {
    const [newest] = (await api.ticks(1)).ticks;
    if (!newest) throw new UsageError("there is no tick yet: a cron or POST /v1/ticks makes the first");
    return newest.id;
  }
  if (text === undefined || !/^[1-9]\d{0,14}$/.test(text)) {
    throw new UsageError(`name a tick by its number, or latest${text === undefined ? "" : `, not ${text}`}`);
  }
  return Number(text);
}
