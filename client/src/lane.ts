import { Unsent } from "./connection.ts";
import { API_LIMITS } from "./events.ts";
import type { Ledger } from "./ledger.ts";
import type { Land, Sender } from "./sender.ts";
import { Pause } from "./timers.ts";
import { fitting, type Waiting } from "./waiting.ts";

export interface Timing {
  /** How long the first event of a batch waits for company. */
  lingerMs: number;
  retryFirstMs: number;
  retryMaxMs: number;
}
/** A key that is refused is tried again this many times later than anything else. */
const DENIED_FACTOR = 5;

interface LaneOptions {
  path: string;
  sender: Sender;
  ledger: Ledger;
  timing: Timing;
  /** Nothing waits here any more. */
  onIdle: () => void;
}

/** The events of one kind, in order, one request at a time; a failed batch goes back to the front. */
export class Lane {
  readonly #options: LaneOptions;
  readonly #flights = new Set<Set<Waiting>>();
  readonly #linger = new Pause();
  readonly #backoff = new Pause();
  #waiting: Waiting[] = [];
  #isRunning = false;
  #isClosed = false;
  #failures = 0;

  constructor(options: LaneOptions) {
    this.#options = options;
  }

  add(event: Waiting): void {
    this.#waiting.push(event);
    this.#start();
  }

  get isIdle(): boolean {
    return this.#waiting.length === 0 && this.#flights.size === 0;
  }

  /** The events that linger go out now. A pause after a failure is not cut short. */
  hurry(): void {
    this.#linger.cut();
  }

  /** The page is being left: what can still go out does, in one request; the rest stays. */
  leave(): void {
    const { sender } = this.#options;
    const bytes = sender.bytesAtOnce;
    const ready = this.#waiting.filter(
      (event) => !event.left && fitting([event], bytes).length > 0 && event.images.every((image) => image.isNamed),
    );
    const leaving = fitting(ready, bytes);
    if (leaving.length === 0) return;
    const whole = new Set(leaving.filter((event) => sender.isIllustrated(event)));
    this.#waiting = this.#waiting.filter((event) => !whole.has(event));
    for (const event of leaving) event.left = true;
    void this.#fly(whole, (land) => sender.sendAtOnce(this.#options.path, leaving, land)).then(() => {
      for (const event of leaving) event.left = false;
      this.#start();
    });
  }

  /** Ends the lane; what waits is dropped. */
  close(): void {
    this.#isClosed = true;
    const rest = [...this.#waiting, ...[...this.#flights].flatMap((flight) => [...flight])];
    this.#waiting = [];
    for (const flight of this.#flights) flight.clear();
    this.#flights.clear();
    for (const event of rest) this.#options.ledger.end(event, "dropped");
    this.#linger.cut();
    this.#backoff.cut();
  }

  #start(): void {
    if (!this.#isRunning && this.#waiting.length > 0) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    await this.#linger.wait(this.#options.timing.lingerMs);
    while (this.#waiting.length > 0) {
      const { path, sender } = this.#options;
      const batch = fitting(this.#waiting, API_LIMITS.intakeBytes);
      this.#waiting.splice(0, batch.length);
      const failure = await this.#fly(new Set(batch), (land) => sender.send(path, batch, land));
      this.#failures = failure ? this.#failures + 1 : 0;
      if (failure && !this.#isClosed) await this.#backoff.wait(this.#delayMs(failure));
    }
    this.#isRunning = false;
  }

  /** Sends a flight; what did not land is back in the lane afterwards. Returns the failure, if there was one. */
  async #fly(flight: Set<Waiting>, send: (land: Land) => Promise<void>): Promise<Unsent | undefined> {
    const { ledger, onIdle } = this.#options;
    this.#flights.add(flight);
    let failure: Unsent | undefined;
    try {
      await send((event, status) => {
        if (flight.delete(event)) ledger.end(event, status);
      });
    } catch (error) {
      failure = error instanceof Unsent ? error : new Unsent("the batch can not be sent");
      if (!this.#isClosed) this.#failed(failure);
    }
    this.#flights.delete(flight);
    this.#waiting.unshift(...flight);
    if (this.isIdle) onIdle();
    return failure;
  }

  #failed(failure: Unsent): void {
    const { ledger } = this.#options;
    ledger.count("failedRequests");
    if (this.#failures > 0) return;
    ledger.tell({ what: "unsent", message: `${failure.message}; trying again until it works` });
  }

  /** Exponential with full jitter, on top of what the API asks for. */
  #delayMs({ retryAfterMs, isDenied }: Unsent): number {
    const { retryFirstMs, retryMaxMs } = this.#options.timing;
    if (isDenied) return retryMaxMs * DENIED_FACTOR * (1 + Math.random());
    return retryAfterMs + Math.random() * Math.min(retryMaxMs, retryFirstMs * 2 ** (this.#failures - 1));
  }
}
