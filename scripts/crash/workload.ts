import { TASK_ERROR_TYPES } from "../../shared/taxonomy/taxonomy.ts";
import { hex } from "../workload/ids.ts";
import { type Draft, draftReport } from "../workload/reports.ts";

/** An event as it is sent. */
export type CrashEvent = Omit<Draft, "task" | "errorType" | "language" | "correction"> &
  Partial<Draft> & { readonly eventId: string; readonly rating?: "up" | "down" };

/** What has to stand in the store once the event is acknowledged. */
export interface Expected {
  readonly verdict: "wrong" | "right" | "unjudged";
  /** The right answer, when it is known: then there is a source. */
  readonly answer: string | null;
  /** null: the Worker has to find it. */
  readonly region: string | null;
}

const EVENTS_PER_IMAGE = 4;

/** The event number `serial` of a client, and what is expected of it: corrected, right, unjudged, merely disliked, or untagged. */
export function crashEvent(serial: number, random: () => number): { event: CrashEvent; expected: Expected } {
  const image =
    hex(56, random) +
    Math.floor(serial / EVENTS_PER_IMAGE)
      .toString(16)
      .padStart(8, "0");
  const { correction, task, errorType, language, ...rest } = draftReport(serial, random, image, Date.now());
  const eventId = `event-${serial}`;
  const said = { eventId, ...rest, task, errorType, language };
  const region = (error: string) => `${task}/${error}/${language}/image`;
  const wrongRegion = region(errorType);
  switch (serial % 5) {
    case 0:
      return {
        event: { ...said, response: correction, rating: "up" },
        expected: { verdict: "right", answer: correction, region: region(TASK_ERROR_TYPES[task][0]) },
      };
    case 1:
      return { event: said, expected: { verdict: "unjudged", answer: null, region: wrongRegion } };
    case 2:
      return { event: { ...said, rating: "down" }, expected: { verdict: "wrong", answer: null, region: wrongRegion } };
    case 3:
      return {
        event: { ...said, correction },
        expected: { verdict: "wrong", answer: correction, region: wrongRegion },
      };
    default:
      return {
        event: { eventId, ...rest, correction },
        expected: { verdict: "wrong", answer: correction, region: null },
      };
  }
}
