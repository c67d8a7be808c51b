/** What a page has and other places have not. */
interface Page {
  document?: EventTarget & { visibilityState?: string };
  addEventListener?: EventTarget["addEventListener"];
  removeEventListener?: EventTarget["removeEventListener"];
}

/** Calls `leave` when the page is hidden or left; does nothing where there is no page. Returns what ends it. */
export function onLeave(leave: () => void): () => void {
  const page = globalThis as unknown as Page;
  const { document } = page;
  if (typeof document?.addEventListener !== "function") return () => {};
  const changed = () => {
    if (document.visibilityState === "hidden") leave();
  };
  document.addEventListener("visibilitychange", changed);
  page.addEventListener?.("pagehide", leave);
  return () => {
    document.removeEventListener("visibilitychange", changed);
    page.removeEventListener?.("pagehide", leave);
  };
}
