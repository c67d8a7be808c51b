import { tmpdir } from "node:os";
import { join } from "node:path";
import { ProcessGroup } from "../../scripts/edge/group.ts";
import type { Shape } from "./bodies.ts";
import type { Load, Measured } from "./load.ts";
import type { Server, ServerName } from "./servers.ts";

export const SIZES = ["single", "50", "500"] as const;
/** Events per request. */
export type Size = (typeof SIZES)[number];
export const CONNECTIONS = [1, 8, 64] as const;

/** One cell to measure. */
export interface Cell {
  readonly row: string;
  readonly connections: number;
  /** null: without storing anything. */
  readonly shape: Shape | null;
}

export interface MeasuredCell extends Cell, Measured {}

/** Cells that are measured one after the other on one server, which starts with an empty store. */
export interface Group {
  readonly server: ServerName;
  readonly cells: readonly Cell[];
}

const ROW_NAMES: Readonly<Record<ServerName, string>> = {
  nearmiss: "Nearmiss",
  unstored: "the same Worker, storing nothing",
  raw: "raw statement in D1",
  plain: "node:http + node:sqlite",
};
export const CEILING_ROW = "the same Worker, GET /healthz";

export function rowName(server: ServerName, size: Size): string {
  return `${ROW_NAMES[server]}, ${size === "single" ? "single events" : `batches of ${size}`}`;
}

export function shapeOf(size: Size): Shape {
  return { eventsPerRequest: size === "single" ? 1 : Number(size), ids: "time", tagged: true };
}

/** Every size at every connection count, and what it is held against right beside it, so that a slow minute slows both. */
export function comparison(sizes: readonly Size[]): Group[] {
  return sizes.flatMap((size) =>
    CONNECTIONS.flatMap((connections) =>
      (["unstored", "nearmiss", "raw", "plain"] as const).map((server) => {
        const cell = { row: rowName(server, size), connections, shape: shapeOf(size) };
        const ceiling = { row: CEILING_ROW, connections, shape: null };
        return { server, cells: server === "nearmiss" && size === "single" ? [ceiling, cell] : [cell] };
      }),
    ),
  );
}

/** What events cost that come with random ids, or without tags. */
export function variations(sizes: readonly Size[]): Group[] {
  const connections = 64;
  return sizes
    .filter((size) => size !== "50")
    .flatMap((size) => {
      const row = rowName("nearmiss", size);
      return [
        { row: `${row}, random ids`, connections, shape: { ...shapeOf(size), ids: "random" as const } },
        { row: `${row}, untagged`, connections, shape: { ...shapeOf(size), tagged: false } },
      ];
    })
    .map((cell) => ({ server: "nearmiss" as const, cells: [cell] }));
}

/** Runs the load generator in a process of its own. */
export async function measure(
  { target }: Server,
  { row, connections, shape }: Cell,
  span: Pick<Load, "warmUpMs" | "measureMs" | "requests">,
): Promise<MeasuredCell> {
  const path = shape ? target.path : "/healthz";
  const generator = new ProcessGroup(join(import.meta.dirname, "load.ts"), tmpdir());
  try {
    const measured = await generator.ask<Measured>({ ...target, path, connections, shape, ...span } satisfies Load);
    return { row, connections, shape, ...measured };
  } finally {
    await generator.close();
  }
}
